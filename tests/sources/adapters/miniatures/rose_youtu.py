from pathlib import Path

from .writing import put

ROWS = """
10/G_NT_5s_wg_E_10_1.mp4 10 live - - - 5s NT - train -
18/Vl_NT_IP_g_E_18_153.mp4 18 spoof replay video-lenovo Vl IP NT - test -
18/Vm_T_ZTE_g_E_18_154.mp4 18 spoof replay video-mac Vm ZTE T - test -
2/Mc_NT_HS_g_E_2_3.mp4 2 spoof mask_paper paper-mask-cropped Mc HS NT - train -
2/Mf_NT_HS_g_E_2_4.mp4 2 spoof mask_paper paper-mask-full Mf HS NT - train -
2/Mu_NT_HS_g_E_2_5.mp4 2 spoof mask_paper paper-mask-upper Mu HS NT - train -
2/Pq_NT_HW_g_E_2_2.mp4 2 spoof print print-quivering Pq HW NT - train -
2/Ps_NT_HW_g_E_2_1.mp4 2 spoof print print-still Ps HW NT - train -
8/G_T_HS_g_E_8_1.mp4 8 live - - - HS T - - -
rgb/test/G_T_HS_g_E_23_7.mp4 23 live - - - HS T - test -
"""
UNKNOWN = {"2/Xx_NT_HS_g_E_2_9.mp4"}


def make(root: Path) -> None:
    put(root, *(line.split()[0] for line in ROWS.strip().splitlines()), *UNKNOWN)
    put(root, "rgb/adaptation_list.txt", data="G_T_HS_g_E_2_1 0\n")
