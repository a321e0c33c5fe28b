"""What trainers import: packed shards to tensors.

>>> from torch.utils.data import DataLoader
>>> from fasgen.reader import FasDataset, JointAugment, SampleDecoder, collate
>>> decoder = SampleDecoder(augment=JointAugment(flip=0.5, degrees=5), select={"split": {"train"}})  # doctest: +SKIP
>>> data = FasDataset("store/pack-1a2b3c4d", decoder, shuffle=500)  # doctest: +SKIP
>>> for batch in DataLoader(data, batch_size=32, num_workers=4, collate_fn=collate):  # doctest: +SKIP
...     batch["image"], batch["residual"], batch["label"], batch["meta"]

Every cue of a sample moves with its image, under its own name; ``SampleDecoder(cues=("lgsc",))`` decodes that one alone.

This package knows the packed format only: it imports no stage, no store and no pipeline.
"""

from fasgen.reader.augment import JointAugment, Move, resize
from fasgen.reader.collate import collate
from fasgen.reader.dataset import FasDataset
from fasgen.reader.decode import CueScale, FasSample, SampleDecoder, scale_cue
from fasgen.reader.index import Draw, FasIndex
from fasgen.reader.samplers import BalancedSampler, SubjectSampler
from fasgen.reader.shards import Shard, list_shards
from fasgen.reader.table import SampleTable
from fasgen.reader.tar import RawSample, ShardError, read_samples

__all__ = [
    "BalancedSampler",
    "CueScale",
    "Draw",
    "FasDataset",
    "FasIndex",
    "FasSample",
    "JointAugment",
    "Move",
    "RawSample",
    "SampleDecoder",
    "SampleTable",
    "Shard",
    "ShardError",
    "SubjectSampler",
    "collate",
    "list_shards",
    "read_samples",
    "resize",
    "scale_cue",
]
