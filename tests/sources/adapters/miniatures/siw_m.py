from pathlib import Path

from .writing import put

# Every clip is a subject of its own.
ROWS = """
Live/Test/Live_2.mov Live_2* live - - - - - - test -
Live/Train/Live_1.mov Live_1* live - - - - - - train -
Makeup/Cosmetic/Makeup_Co_1.mov Makeup_Co_1* spoof makeup Makeup_Co Makeup_Co - - - - -
Makeup/Impersonation/Makeup_Im_1.mov Makeup_Im_1* spoof makeup Makeup_Im Makeup_Im - - - - -
Makeup/Obfuscation/Makeup_Ob_1.mov Makeup_Ob_1* spoof makeup Makeup_Ob Makeup_Ob - - - - -
Mask/HalfMask/Mask_Half_1.mov Mask_Half_1* spoof mask_rigid Mask_Half Mask_Half - - - - -
Mask/MannequinHead/Mask_Mann_1.mov Mask_Mann_1* spoof fake_head Mask_Mann Mask_Mann - - - - -
Mask/PaperMask/Mask_Paper_1.mov Mask_Paper_1* spoof mask_paper Mask_Paper Mask_Paper - - - - -
Mask/SiliconeMask/Mask_Silicone_1.mov Mask_Silicone_1* spoof mask_flexible Mask_Silicone Mask_Silicone - - - - -
Mask/TransparentMask/Mask_Trans_1.mov Mask_Trans_1* spoof mask_rigid Mask_Trans Mask_Trans - - - - -
Paper/Paper_1.mov Paper_1* spoof print Paper Paper - - - - Paper/Paper_1.face
Partial/FunnyeyeGlasses/Partial_Funnyeye_1.mov Partial_Funnyeye_1* spoof glasses Partial_Funnyeye Partial_Funnyeye - - - - -
Partial/PaperCut/Partial_Eye_1.mov Partial_Eye_1* spoof partial Partial_Eye Partial_Eye - - - - -
Partial/PaperCut/Partial_Mouth_2.mov Partial_Mouth_2* spoof partial Partial_Mouth Partial_Mouth - - - - -
Partial/PaperGlasses/Partial_Paperglass_1.mov Partial_Paperglass_1* spoof glasses Partial_Paperglass Partial_Paperglass - - - - -
Replay/Replay_1.mov Replay_1* spoof replay Replay Replay - - - - -
"""
UNKNOWN = {"Mask/HalfMask/Mask_Trans_9.mov", "Live/Live_3.mov"}


def make(root: Path) -> None:
    put(root, *(line.split()[0] for line in ROWS.strip().splitlines()), *UNKNOWN)
    put(root, "Paper/Paper_1.face", data="1 2 3 4\n")
    put(root, "Paper/Paper_2.dat", data=b"\0" * 64)
    put(root, "trainlist_live.txt", data="Live_1\n")
