"""PADISI-Face (Rostami et al., ICCV 2021; USC part): 2,029 single frames, as one joblib archive or as ``.npz`` files.

The identifier of a frame does not hold its participant: the ground-truth table does. The archive holds identifiers and codes
as well; it is a pickle, so it is read by a reader that builds arrays and texts and nothing else.
"""

from __future__ import annotations

from fasgen.sources.adapters.table import Annotation, Archive, Ignored, Lookup, Published, Rule, Table

_CODES = {
    "m00000": {"label": "live"},
    "m501(?:01|02)": {"label": "spoof", "attack_family": "glasses", "attack_type": "printed-eyes-glasses"},
    "m501(?:03|05|06|07|09|10|11|12)": {"label": "spoof", "attack_family": "glasses", "attack_type": "plastic-eyes-glasses"},
    "m501(?:04|08)": {"label": "spoof", "attack_family": "glasses", "attack_type": "printed-iris-glasses"},
    "m5020[12]": {"label": "spoof", "attack_family": "print", "attack_type": "print"},
    "m5030[1-6]": {"label": "spoof", "attack_family": "fake_head", "attack_type": "mannequin"},
    "m50401": {"label": "spoof", "attack_family": "mask_rigid", "attack_type": "opaque-mask"},
    "m5050[1-7]": {"label": "spoof", "attack_family": "mask_rigid", "attack_type": "mask-{attack_raw}"},
    "m5060[1-4]": {"label": "spoof", "attack_family": "makeup", "attack_type": "makeup"},
    "m50701": {"label": "spoof", "attack_family": "mask_flexible", "attack_type": "silicone-mask"},
    "m5080[12]": {"label": "spoof", "attack_family": "glasses", "attack_type": "paper-glasses"},
    "m50901": {"label": "spoof", "attack_family": "makeup", "attack_type": "drawn-marks"},
}
_NAME = r"(?P<identifier>ID_(?P<session>[^_/]+)_[^_/]+(?:_[^/]+)?)"
_IDENTIFIER = "ID_{transaction_id}_{trial_id}_{trial_name}"

TABLE = Table(
    name="padisi-face",
    about="2,029 frames; glasses, masks, heads, makeup, print",
    licence="PADISI-USC: signed agreement, academic or non-commercial",
    layout=(
        "padisi_USC_FACE_preprocessed.bz2, or ID_<transaction>_<trial>_<trial name>.npz files",
        "padisi_USC_FACE_ground_truth.csv for participants, and with .npz files for codes",
        "padisi_USC_FACE_dataset_partition_3folds_part0.csv for a split",
    ),
    rules=(
        Rule(
            path=rf"(?:.*/)?{_NAME}",
            extensions=("npz",),
            kind="image",
            container="npz:bgr",
        ),
        Rule(
            path=rf".*\.bz2/{_NAME}",
            extensions=(),
            lookups=(Lookup(by="{attack_raw}", codes=_CODES),),
            kind="image",
            container="joblib:bgr",
        ),
    ),
    archives=(Archive(path=r"(?:.*/)?[^/]*(?:FACE|face)[^/]*\.bz2", reader="joblib"),),
    annotations=(
        Annotation(
            file=r"(?:.*/)?padisi_USC_FACE_ground_truth\.csv",
            format="csv",
            key="{identifier}",
            record_key=_IDENTIFIER,
            says={"subject": "{participant_id}", "attack_raw": "{ground_truth}"},
            codes={"attack_raw": _CODES},
            without="participants, and of .npz files the codes too",
        ),
        Annotation(
            file=r"(?:.*/)?padisi_USC_FACE_dataset_partition_3folds_part0\.csv",
            format="csv",
            key="{identifier}",
            record_key=_IDENTIFIER,
            says={"split": "{partition_name}"},
            without="the split",
        ),
    ),
    ignore=(Ignored(path=r".*\.(?:csv|md|pdf)", why="another partition, or a document"),),
    published=(Published(files=2029, live=1105, spoof=924, families={"print": 56, "fake_head": 71, "mask_flexible": 33}),),
)
