from pathlib import Path

from .writing import put

_KINDS = """
Makeup_Co makeup Makeup_Co
Makeup_Im makeup Makeup_Im
Makeup_Ob makeup Makeup_Ob
Mannequin fake_head Mannequin
Mask_Half mask_rigid Mask_Half
Mask_Paper mask_paper Mask_Paper
Mask_Trans mask_rigid Mask_Trans
Paper print Paper
Partial_Eye partial Partial_Eye
Partial_Funnyeye glasses Partial_Funnyeye
Partial_Mouth partial Partial_Mouth
Partial_Paperglass glasses Partial_Paperglass
Replay replay Replay
Silicone mask_flexible Silicone
"""
ROWS = "\n".join(
    [
        "Live/Live_1.mov Live_1* live - - - - - - - -",
        *(
            f"Spoof/{kind}/{kind}_1.mov {kind}_1* spoof {family} {name} {kind} - - - - -"
            for kind, family, name in (line.split() for line in _KINDS.strip().splitlines())
        ),
        # Old stems under a new folder.
        "Spoof/Mannequin/Mask_Mann_2.mov Mask_Mann_2* spoof fake_head Mannequin Mask_Mann - - - - -",
    ]
)
UNKNOWN = {"Spoof/Wax/Wax_1.mov"}


def make(root: Path) -> None:
    put(root, *(line.split()[0] for line in ROWS.splitlines()), *UNKNOWN)
    # A repeated name weighs a clip; it is no second one.
    put(root, "protocols/trainlist_all.txt", data="Live_1\nLive_1\n")
