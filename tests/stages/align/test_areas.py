from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fasgen.stages.align.areas import Areas
from fasgen.stages.align.pyramid import cells, layout
from tests.stages.align.pictures import texture

CPU = torch.device("cpu")


def pooled(image: np.ndarray, height: int, width: int) -> torch.Tensor:
    x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].double()
    return (F.adaptive_avg_pool2d(x, (height, width)) - 127.5) / 128


@pytest.mark.parametrize(("height", "width"), [(30, 50), (60, 100), (61, 99), (7, 3), (1, 1), (90, 130)])
def test_levels_are_adaptive_average_pooling(height: int, width: int) -> None:
    image = texture(60, 100)
    out = torch.empty(height, width, 3)
    Areas(image, CPU).level(out)
    torch.testing.assert_close(out.permute(2, 0, 1)[None].double(), pooled(image, height, width), atol=1e-6, rtol=0)


def test_a_level_is_written_where_it_is_told_to_and_nowhere_else() -> None:
    image = texture(60, 100)
    sheet = torch.full((50, 70, 3), 9.0)
    alone = torch.empty(30, 40, 3)
    Areas(image, CPU).level(alone)
    Areas(image, CPU).level(sheet[4:34, 6:46])
    torch.testing.assert_close(sheet[4:34, 6:46], alone, atol=0, rtol=0)
    assert (sheet == 9.0).sum() == sheet.numel() - alone.numel()


def test_crops_are_adaptive_average_pooling_of_their_pixels() -> None:
    image = texture(60, 100)
    corners = np.array([[0, 0, 100, 60], [3, 5, 40, 9], [99, 59, 100, 60], [10, 10, 34, 34]])
    crops = Areas(image, CPU).crops(corners, 24)
    for (x0, y0, x1, y1), crop in zip(corners, crops, strict=True):
        expected = pooled(image[y0:y1, x0:x1], 24, 24)[0]
        torch.testing.assert_close(crop.double(), expected, atol=1e-6, rtol=0)


def test_images_whose_sums_leave_32_bits_are_summed_in_64() -> None:
    image = np.full((2000, 4300, 3), 255, np.uint8)
    out = torch.empty(3, 4, 3)
    Areas(image, CPU).level(out)
    torch.testing.assert_close(out, torch.full((3, 4, 3), 127.5 / 128))


@pytest.mark.parametrize(("height", "width"), [(240, 320), (333, 217), (20, 600), (95, 113)])
def test_levels_have_their_sheets_to_themselves(height: int, width: int) -> None:
    plan = layout(height, width, 20.0, 0.709)
    assert plan is not None
    assert sorted((level for sheet in plan.sheets for level in sheet.levels), key=lambda level: -level.scale) == [*plan.levels]
    owned = np.zeros(len(plan.levels), int)
    for sheet in plan.sheets:
        assert sheet.height % 2 == sheet.width % 2 == 0
        taken = np.zeros((sheet.height, sheet.width), int)
        for level in sheet.levels:
            assert level.y % 2 == level.x % 2 == 0
            taken[level.y : level.y + level.height, level.x : level.x + level.width] += 1
            assert level.y + level.height <= sheet.height
            assert level.x + level.width <= sheet.width
        assert taken.max() == 1
        owned += np.bincount(sheet.owner[sheet.owner >= 0], minlength=len(plan.levels))
    assert owned.tolist() == [cells(level.height) * cells(level.width) for level in plan.levels]


def test_an_image_too_small_for_the_smallest_face_has_no_pyramid() -> None:
    assert layout(19, 300, 20.0, 0.709) is None
