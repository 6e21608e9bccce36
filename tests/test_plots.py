from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import StepPatch
from matplotlib.text import Text
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal, Uniform

import genlab.plots
from genlab.errors import RunError
from genlab.interfaces import Prior
from genlab.model import LatentModel
from genlab.parts.decoders import MLPDecoder
from genlab.parts.encoders import MLPEncoder
from genlab.parts.likelihoods import BernoulliLikelihood, GaussianLikelihood
from genlab.parts.priors import StandardNormal
from genlab.plots import PLOTS, Subject, check_kind, draw, draw_all, sample_sheet, save_png, to_grid
from genlab.plots.manifold import CELLS
from genlab.plots.plane import principal_plane, prior_quantiles
from genlab.plots.style import DPI

SIDE = 6
N = 60
IMAGES = [kind for kind in PLOTS if kind not in ("losses", "latent")]
RECORDS = [
    {
        "epoch": epoch,
        "train/loss": 100 + 900 * (epoch == 1) + 30 / epoch,
        "train/nll": 90 + 30 / epoch,
        "train/kl": 5 + epoch / 10,
        "val/loss": 101 + (epoch - 7) ** 2 / 10,
        "val/nll": 95 + (epoch - 7) ** 2 / 10,
        "val/kl": 6 - epoch / 100,
    }
    for epoch in range(1, 11)
]


def make_model(
    latent: int = 2, x_shape: tuple[int, ...] = (1, SIDE, SIDE), prior: Prior | None = None
) -> LatentModel:
    torch.manual_seed(latent)
    model = LatentModel(
        MLPEncoder(x_shape, latent, hidden=(8,)),
        MLPDecoder(latent, x_shape, hidden=(8,)),
        prior or StandardNormal(latent),
        BernoulliLikelihood(x_shape),
        x_shape=x_shape,
        latent=latent,
    )
    return model.eval()


def make_subject(
    latent: int = 2,
    *,
    labels: int = 10,
    x_shape: tuple[int, ...] = (1, SIDE, SIDE),
    n: int = N,
    seed: int = 0,
    prior: Prior | None = None,
    records: bool = True,
) -> Subject:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(n, *x_shape, generator=generator)
    label = torch.arange(n) % labels if labels else None
    return Subject(make_model(latent, x_shape, prior), x, label, RECORDS if records else (), seed)


def tiles(figure: Figure, rows: int, columns: int) -> Tensor:
    """Cut a sheet of grey images back into ``(rows, columns, SIDE, SIDE)``, one pixel for each of the data's."""
    (picture,) = figure.axes[0].images
    array = np.asarray(picture.get_array())
    height, width = (
        next(s for s in range(array.shape[i] // n, 0, -1) if s % SIDE == 0) for i, n in ((0, rows), (1, columns))
    )
    tops = np.linspace(0, array.shape[0] - height, rows).astype(int)
    lefts = np.linspace(0, array.shape[1] - width, columns).astype(int)
    cut = [[array[y : y + height, x : x + width] for x in lefts] for y in tops]
    return torch.from_numpy(np.array(cut)[:, :, :: height // SIDE, :: width // SIDE].copy())


def rendered(figure: Figure, path: Path) -> NDArray[np.float32]:
    save_png(figure, path)
    return imread(path)


# -- every kind, every shape of model ---------------------------------------------------------------------


@pytest.mark.parametrize("latent", [1, 2, 5])
@pytest.mark.parametrize("labels", [0, 10])
def test_every_kind_becomes_a_png_of_sensible_size(tmp_path: Path, latent: int, labels: int) -> None:
    paths = draw_all(make_subject(latent, labels=labels), tmp_path)
    assert [path.stem for path in paths] == list(PLOTS)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    for path in paths:
        height, width = imread(path).shape[:2]
        assert 4 * DPI < width < 11 * DPI, path.stem
        assert 0.8 * DPI < height < 8 * DPI, path.stem


@pytest.mark.parametrize("kind", list(PLOTS))
@pytest.mark.parametrize("latent", [1, 2, 5])
def test_no_text_leaves_the_page_or_lies_on_other_text(
    kind: str, latent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = draw(kind, make_subject(latent))
    drawn: dict[Text, None] = {}
    monkeypatch.setattr(Text, "draw", lambda text, _: drawn.setdefault(text))
    figure.draw_without_rendering()
    boxes = [
        (text.get_text(), text.get_window_extent()) for text in drawn if text.get_text() and text.get_visible()
    ]
    assert len(boxes) >= 2
    for name, box in boxes:
        assert figure.bbox.x0 < box.x0 < box.x1 < figure.bbox.x1, name
        assert figure.bbox.y0 < box.y0 < box.y1 < figure.bbox.y1, name
    for (name, box), (other_name, other) in itertools.combinations(boxes, 2):
        assert not box.overlaps(other), (name, other_name)


@pytest.mark.parametrize("kind", list(PLOTS))
def test_the_same_subject_gives_the_same_bytes(tmp_path: Path, kind: str) -> None:
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    save_png(draw(kind, make_subject(5)), first)
    torch.rand(3)
    save_png(draw(kind, make_subject(5)), second)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("kind", "shape"), [("samples", (4, 4)), ("reconstructions", (2, 10)), ("interpolation", (5, 12))]
)
def test_another_seed_gives_another_figure(kind: str, shape: tuple[int, int]) -> None:
    one, two = (tiles(draw(kind, make_subject(seed=seed)), *shape) for seed in (0, 1))
    assert not torch.equal(one, two)


def test_nothing_global_changes(tmp_path: Path) -> None:
    subject = make_subject(5)
    subject.model.train()
    with matplotlib.rc_context({"font.size": 31.0, "axes.facecolor": "red"}):
        before, state = dict(matplotlib.rcParams), torch.get_rng_state()
        draw_all(subject, tmp_path)
        save_png(sample_sheet(subject.x[:4]), tmp_path / "sheet.png")
        assert dict(matplotlib.rcParams) == before
        assert torch.equal(torch.get_rng_state(), state)
    assert subject.model.training


def test_a_users_matplotlib_settings_do_not_matter(tmp_path: Path) -> None:
    plain, changed = tmp_path / "a.png", tmp_path / "b.png"
    save_png(draw("losses", make_subject()), plain)
    with matplotlib.rc_context({"font.size": 31.0, "axes.facecolor": "red", "savefig.bbox": "tight"}):
        save_png(draw("losses", make_subject()), changed)
    assert plain.read_bytes() == changed.read_bytes()


def test_pyplot_is_never_imported() -> None:
    code = "import sys, genlab.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_titles_name_the_recipe_whatever_characters_it_has() -> None:
    subject = make_subject()
    subject.model.recipe = type("Recipe", (), {"name": "a_$very$_" + "long" * 40})()
    figure = draw("samples", subject)
    figure.draw_without_rendering()
    title = figure.texts[0]
    assert "a_$very$_long" in title.get_text()
    assert title.get_window_extent().x1 < figure.bbox.x1


# -- what the sheets show ---------------------------------------------------------------------------------


def test_samples_are_those_of_the_model_with_the_subjects_seed() -> None:
    subject = make_subject(seed=7)
    for kind, side in (("samples", 4), ("samples64", 8)):
        shown = tiles(draw(kind, subject), side, side).flatten(0, 1)
        torch.testing.assert_close(shown, subject.model.sample(side * side, seed=7)[:, 0])


def test_reconstructions_show_one_example_of_each_class_above_its_reconstruction() -> None:
    subject = make_subject()
    top, bottom = tiles(draw("reconstructions", subject), 2, 10)
    assert subject.label is not None
    for column in range(10):
        where = (subject.x[:, 0] == top[column]).all((1, 2)).nonzero().flatten()
        assert subject.label[where].tolist() == [column]
        torch.testing.assert_close(bottom[column], subject.model.reconstruct(subject.x[where])[0, 0])


@pytest.mark.parametrize(("labels", "n", "columns"), [(0, N, 16), (0, 5, 5), (3, N, 15), (40, N, 16)])
def test_reconstructions_without_or_with_other_numbers_of_classes(labels: int, n: int, columns: int) -> None:
    subject = make_subject(labels=labels, n=n)
    top, _ = tiles(draw("reconstructions", subject), 2, columns)
    assert len({tuple(one.flatten().tolist()) for one in top}) == columns  # no example twice


@pytest.mark.parametrize("labels", [0, 1, 2, 3, 4, 8, 10])
def test_interpolation_runs_between_real_examples_of_different_classes(labels: int) -> None:
    subject = make_subject(3, labels=labels)
    rows = tiles(draw("interpolation", subject), 5, 12)
    for row in rows:
        first, last = (int((subject.x[:, 0] == row[i]).all((1, 2)).nonzero()) for i in (0, -1))
        assert first != last
        if labels > 1:
            assert subject.label is not None
            assert subject.label[first] != subject.label[last]
        a, b = subject.model.encode(subject.x[[first, last]])
        line = torch.stack([a + (b - a) * i / 9 for i in range(10)])
        torch.testing.assert_close(row[1:-1], subject.model.decode(line)[:, 0], rtol=1e-4, atol=1e-5)


def test_ten_classes_are_all_interpolated() -> None:
    subject = make_subject()
    rows = tiles(draw("interpolation", subject), 5, 12)
    ends = rows[:, [0, -1]].flatten(0, 1)
    assert subject.label is not None
    found = [int(subject.label[(subject.x[:, 0] == end).all((1, 2))]) for end in ends]
    assert sorted(found) == list(range(10))


def test_the_manifold_is_decoded_at_the_priors_quantiles_second_axis_upwards() -> None:
    subject = make_subject()
    shown = tiles(draw("manifold", subject), CELLS, CELLS)
    z = 1.6448536  # the 95 % quantile of N(0, 1)
    middle, last = CELLS // 2, CELLS - 1
    at = {(middle, middle): (0.0, 0.0), (0, 0): (-z, z), (0, last): (z, z), (last, last): (z, -z)}
    for (row, column), point in at.items():
        expected = subject.model.decode(torch.tensor([point]))[0, 0]
        torch.testing.assert_close(shown[row, column], expected, rtol=1e-4, atol=1e-5)


def test_the_manifolds_ticks_say_where_a_cell_is() -> None:
    axes = draw("manifold", make_subject()).axes[0]
    (picture,) = axes.images
    cell = np.asarray(picture.get_array()).shape[1] / CELLS
    labels = {
        round(tick / cell - 0.5): text.get_text()
        for tick, text in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    }
    assert float(labels[CELLS // 2].replace("−", "-")) == pytest.approx(0, abs=1e-6)
    rows = {
        round(tick / cell - 0.5): text.get_text()
        for tick, text in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
    }
    assert rows[1] == labels[CELLS - 2] == "1.20"  # the quantile of 0.05 + 13 / 14 * 0.9
    assert rows[CELLS - 2] == labels[1] == "−1.20"


def test_with_one_latent_the_manifold_is_one_row() -> None:
    subject = make_subject(1)
    shown = tiles(draw("manifold", subject), 1, CELLS)[0]
    torch.testing.assert_close(shown[CELLS // 2], subject.model.decode(torch.zeros(1, 1))[0, 0])


def test_beyond_two_latents_the_manifold_lies_around_the_mean_of_the_posterior_means() -> None:
    subject = make_subject(5)
    shown = tiles(draw("manifold", subject), CELLS, CELLS)
    mean = subject.model.encode(subject.x).mean(0, keepdim=True)
    centre = shown[CELLS // 2, CELLS // 2]
    torch.testing.assert_close(centre, subject.model.decode(mean)[0, 0], rtol=1e-4, atol=1e-5)
    plane = principal_plane(subject.means)
    right = subject.model.decode(mean + 1.6448536 * plane.std[0] * plane.axes[0])[0, 0]
    torch.testing.assert_close(shown[CELLS // 2, -1], right, rtol=1e-4, atol=1e-5)


def test_colour_images_are_shown_in_colour() -> None:
    subject = make_subject(x_shape=(3, SIDE, SIDE))
    array = np.asarray(draw("samples", subject).axes[0].images[0].get_array())
    sample = subject.model.sample(16, seed=0)[0]
    assert array.shape[2] == 3
    np.testing.assert_allclose(array[0, 0], sample[:, 0, 0], rtol=1e-5)


def test_examples_beyond_zero_and_one_are_shown_by_their_own_range() -> None:
    shape = (1, SIDE, SIDE)
    model = make_model()
    model.likelihood = GaussianLikelihood(shape)
    subject = Subject(model, torch.linspace(-1, 1, 3 * SIDE * SIDE).view(3, *shape))
    torch.testing.assert_close(subject.shown(subject.x), (subject.x + 1) / 2)
    top, bottom = tiles(draw("reconstructions", subject), 2, 3)
    assert top.min() == 0
    assert bottom.mean() > 0.3  # means near zero are mid-grey, not black


@pytest.mark.parametrize("kind", IMAGES)
def test_sheets_are_crisp_every_pixel_of_the_sheet_is_one_of_the_file(tmp_path: Path, kind: str) -> None:
    subject = make_subject(labels=0)
    figure = draw(kind, subject)
    (picture,) = figure.axes[0].images
    array = np.asarray(picture.get_array())
    page = rendered(figure, tmp_path / "page.png")
    box = figure.axes[0].get_window_extent()
    left, top = round(box.x0), round(page.shape[0] - box.y1)
    shown = page[top : top + array.shape[0], left : left + array.shape[1], 0]
    assert shown.shape == array.shape
    off = np.abs(shown - array) > 2.5 / 255
    # The interpolation's outlines cover a few pixels; matplotlib rounds greys to its map's 256.
    assert off.mean() < (0.06 if kind == "interpolation" else 1e-4)


@pytest.mark.parametrize(("corner", "expected"), [(0.0, 1.0), (0.9, 0.55)])
def test_images_that_are_bright_at_an_edge_have_grey_lines_between_them(
    tmp_path: Path, corner: float, expected: float
) -> None:
    x = torch.zeros(6, 1, SIDE, SIDE)
    x[3, 0, :, 0] = corner
    model = make_model()
    *_, bias = model.decoder.parameters()
    torch.nn.init.constant_(bias, -20.0)  # decodes to black
    array = np.asarray(draw("reconstructions", Subject(model, x)).axes[0].images[0].get_array())
    between = array.shape[1] // 6 - 1
    assert array[0, between] == pytest.approx(expected)
    sheet = rendered(sample_sheet(x), tmp_path / "sheet.png")
    assert sheet[0, sheet.shape[1] // 3 - 1, 0] == pytest.approx(expected, abs=0.5 / 255)


# -- where the encoder puts the examples ------------------------------------------------------------------


def test_the_latent_plot_has_every_examples_mean_in_its_class_colour() -> None:
    subject = make_subject()
    axes = draw("latent", subject).axes[0]
    (points,) = axes.collections
    at = torch.as_tensor(np.asarray(points.get_offsets()), dtype=torch.float32)
    classes = torch.as_tensor(np.asarray(points.get_array()))
    means = subject.model.encode(subject.x)
    assert len(at) == N
    assert subject.label is not None
    for mean, label in zip(means, subject.label, strict=True):
        (here,) = ((at - mean).abs().sum(1) < 1e-5).nonzero()
        assert classes[here] == label
    assert axes.get_aspect() == 1.0


def test_labels_need_not_count_from_zero() -> None:
    subject = make_subject()
    assert subject.label is not None
    odd = Subject(subject.model, subject.x, subject.label * 100 + 7)
    figure = draw("latent", odd)
    ticks = [text.get_text() for text in figure.axes[1].get_yticklabels()]
    assert ticks == [str(100 * i + 7) for i in range(10)]
    assert set(np.asarray(figure.axes[0].collections[0].get_array())) == set(range(10))


def test_more_classes_than_qualitative_colours_are_still_told_apart() -> None:
    figure = draw("latent", make_subject(labels=30))
    (points,) = figure.axes[0].collections
    figure.draw_without_rendering()
    assert len(np.unique(np.asarray(points.get_facecolor()), axis=0)) == 30
    assert len(figure.axes[1].get_yticks()) <= 20


def test_without_labels_the_latent_plot_has_one_colour_and_no_colour_bar() -> None:
    figure = draw("latent", make_subject(labels=0))
    (points,) = figure.axes[0].collections
    assert len(figure.axes) == 1
    assert len(points.get_facecolor()) == 1


def test_beyond_two_latents_the_points_are_principal_components() -> None:
    subject = make_subject(5)
    axes = draw("latent", subject).axes[0]
    at = np.asarray(axes.collections[0].get_offsets(), dtype=np.float64)
    means = subject.model.encode(subject.x).double().numpy()
    variances = np.linalg.svd(means - means.mean(0), compute_uv=False) ** 2 / N
    np.testing.assert_allclose(at.var(0), variances[:2], rtol=1e-3)
    assert axes.get_xlabel() == f"PC 1 ({variances[0] / variances.sum():.0%} of variance)"


@pytest.mark.parametrize("labels", [0, 10])
def test_one_latent_is_counted_in_histograms(labels: int) -> None:
    axes = draw("latent", make_subject(1, labels=labels)).axes[0]
    filled = [patch for patch in axes.patches if isinstance(patch, StepPatch) and patch.get_fill()]
    data: list[Any] = [patch.get_data() for patch in filled]
    counts = [one.values - one.baseline for one in data]
    assert len(filled) == max(labels, 1)
    sums = [float(np.sum(count)) for count in counts]
    np.testing.assert_allclose(sums, sums[0])  # as many examples in every class
    if not labels:
        assert sums[0] == N


@pytest.mark.parametrize("latent", [1, 2, 5])
def test_a_collapsed_posterior_can_be_drawn(tmp_path: Path, latent: int) -> None:
    subject = make_subject(latent)
    for parameter in subject.model.encoder.parameters():
        torch.nn.init.zeros_(parameter)
    for kind in ("latent", "manifold"):
        assert np.isfinite(rendered(draw(kind, subject), tmp_path / "plot.png")).all()


# -- training ---------------------------------------------------------------------------------------------


def test_losses_have_a_panel_for_each_term_with_both_splits() -> None:
    panels = draw("losses", make_subject()).axes
    assert len(panels) == 3
    for axes, term in zip(panels, ("loss", "nll", "kl"), strict=True):
        curves = {line.get_label(): np.asarray(line.get_ydata()) for line in axes.lines}
        np.testing.assert_allclose(curves["training"], [row[f"train/{term}"] for row in RECORDS])
        np.testing.assert_allclose(curves["validation"], [row[f"val/{term}"] for row in RECORDS])


def test_the_best_epoch_is_that_of_the_lowest_validation_loss_unless_told() -> None:
    subject = make_subject()
    for told, best in ((None, 7), (4, 4)):
        told_subject = Subject(subject.model, subject.x, None, RECORDS, best_epoch=told)
        for axes in draw("losses", told_subject).axes:
            assert any(np.array_equal(np.unique(line.get_xdata()), [best]) for line in axes.lines)
        assert f"epoch {best}" in draw("losses", told_subject).texts[1].get_text()


def test_a_first_epoch_far_off_does_not_flatten_the_rest() -> None:
    bottom, top = draw("losses", make_subject()).axes[0].get_ylim()
    later = [row[f"{split}/loss"] for row in RECORDS[1:] for split in ("train", "val")]
    assert bottom < min(later)
    assert max(later) < top < 150  # the first is 1030


def test_losses_of_one_epoch_or_without_terms() -> None:
    subject = make_subject()
    rows = [{"epoch": 1, "train/loss": 3.0, "val/loss": float("nan")}]
    panels = draw("losses", Subject(subject.model, subject.x, None, rows)).axes
    assert len(panels) == 1
    assert [line.get_label() for line in panels[0].lines] == ["training"]


# -- what cannot be drawn ---------------------------------------------------------------------------------


def test_an_unknown_kind_is_named_with_the_nearest_and_all() -> None:
    with pytest.raises(
        RunError, match=r"unknown plot 'manifoldd'; did you mean 'manifold'\? known: losses, .*interp"
    ):
        draw("manifoldd", make_subject())
    with pytest.raises(RunError, match=r"unknown plot 'sampels'; did you mean 'samples'\?"):
        check_kind("sampels")
    check_kind("samples")


def test_losses_without_a_run() -> None:
    with pytest.raises(RunError, match="losses: nothing is recorded of this model's training"):
        draw("losses", make_subject(records=False))


@pytest.mark.parametrize("x_shape", [(7,), (2, SIDE, SIDE), (4, 4)])
def test_what_is_not_an_image_has_only_the_other_plots(tmp_path: Path, x_shape: tuple[int, ...]) -> None:
    subject = make_subject(x_shape=x_shape)
    for kind in IMAGES:
        with pytest.raises(RunError, match=r"are not images.*losses, latent"):
            draw(kind, subject)
    folder = tmp_path / "made" / "here"
    assert draw_all(subject, folder) == [folder / "losses.png", folder / "latent.png"]


def test_without_examples_there_is_still_what_the_model_makes_alone(tmp_path: Path) -> None:
    subject = make_subject(n=0, records=False)
    assert [path.stem for path in draw_all(subject, tmp_path)] == ["samples", "samples64", "manifold"]
    with pytest.raises(RunError, match="0 examples are too few; at least 2"):
        draw("interpolation", subject)
    with pytest.raises(RunError, match="0 examples are too few; at least 1"):
        draw("manifold", make_subject(3, n=0))


def test_one_example_is_enough_for_all_but_interpolation(tmp_path: Path) -> None:
    drawn = {path.stem for path in draw_all(make_subject(5, n=1), tmp_path)}
    assert drawn == set(PLOTS) - {"interpolation"}


def test_labels_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"label has shape \(3,\); \(5,\) is expected"):
        Subject(make_model(), torch.rand(5, 1, SIDE, SIDE), torch.arange(3))


def test_a_file_that_cannot_be_written_has_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be written"):
        save_png(draw("losses", make_subject()), tmp_path / "absent" / "losses.png")


# -- sheets of images -------------------------------------------------------------------------------------


def test_a_grid_is_near_square_with_white_between_and_where_images_end() -> None:
    images = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 1, 2, 3) / 10
    grid = to_grid(images)
    assert grid.shape == (2 * 2 + 1, 3 * 3 + 2)
    assert (grid[2] == 1).all()
    assert (grid[:, 3] == 1).all()
    assert (grid[3:, 8:] == 1).all()
    np.testing.assert_allclose(grid[3:, 4:7], 0.4)


def test_a_grid_enlarges_without_blurring_and_clips() -> None:
    image = torch.tensor([[-1.0, 0.25], [0.5, 9.0]]).view(1, 1, 2, 2)
    np.testing.assert_allclose(to_grid(image, scale=2), np.kron([[0, 0.25], [0.5, 1]], np.ones((2, 2))))
    assert to_grid(image.expand(4, 3, 2, 2), gap=0).shape == (4, 4, 3)


@pytest.mark.parametrize("shape", [(4, 7), (4, 2, 5, 5), (0, 1, 5, 5)])
def test_what_is_no_image_has_no_grid(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(RunError, match="cannot be shown as images"):
        to_grid(torch.zeros(shape))
    with pytest.raises(RunError, match="cannot be shown as images"):
        sample_sheet(torch.zeros(shape))


@pytest.mark.parametrize(("n", "columns", "depth"), [(16, 4, 1), (3, 2, 3), (1, 1, 1), (30, 6, 3)])
def test_a_sheet_of_samples_is_the_images_and_nothing_else(
    tmp_path: Path, n: int, columns: int, depth: int
) -> None:
    images = torch.rand(n, depth, SIDE, SIDE + 1, generator=torch.Generator().manual_seed(0))
    sheet = rendered(sample_sheet(images), tmp_path / "sheet.png")[..., :3]
    gap = 3
    scale = ((sheet.shape[1] + gap) // columns - gap) // (SIDE + 1)
    assert scale > 5
    assert sheet.shape[1] == columns * (SIDE + 1) * scale + (columns - 1) * gap
    for i in (0, n - 1):
        top, left = i // columns * (SIDE * scale + gap), i % columns * ((SIDE + 1) * scale + gap)
        tile = sheet[top : top + SIDE * scale, left : left + (SIDE + 1) * scale]
        expected = images[i].expand(3, -1, -1).permute(1, 2, 0).repeat_interleave(scale, 0)
        np.testing.assert_allclose(tile, expected.repeat_interleave(scale, 1), atol=2.5 / 255)


# -- the plane --------------------------------------------------------------------------------------------


def test_principal_components_of_a_known_cloud() -> None:
    corners = torch.tensor([[3.0, 0, 0], [-3, 0, 0], [0, 0, 1], [0, 0, -1]]) + torch.tensor([5.0, 6, 7])
    plane = principal_plane(corners)
    torch.testing.assert_close(plane.axes, torch.tensor([[1.0, 0, 0], [0, 0, 1]]))
    torch.testing.assert_close(plane.share, torch.tensor([0.9, 0.1]))
    torch.testing.assert_close(plane.std, torch.tensor([4.5, 0.5]).sqrt())
    torch.testing.assert_close(plane.lift(plane.project(corners)), corners)


class UniformPrior(Prior):
    def forward(self) -> Distribution:
        return Independent(Uniform(torch.zeros(2), torch.tensor([1.0, 10.0])), 1)


class TwoHumps(Prior):
    def forward(self) -> Distribution:
        parts = Independent(Normal(torch.tensor([[-4.0, 0.0], [4.0, 0.0]]), 0.5), 1)
        return MixtureSameFamily(Categorical(torch.ones(2)), parts)


def test_quantiles_are_the_priors_own() -> None:
    probabilities = torch.tensor([0.1, 0.5, 0.75])
    exact = prior_quantiles(UniformPrior(), probabilities, seed=0)
    torch.testing.assert_close(exact, torch.tensor([[0.1, 1.0], [0.5, 5.0], [0.75, 7.5]]))
    # Three quarters of the mixture lie left of its right hump's middle.
    sampled = prior_quantiles(TwoHumps(), probabilities, seed=0)
    torch.testing.assert_close(sampled[2], torch.tensor([4.0, 0.6745 * 0.5]), rtol=0, atol=0.03)
    assert torch.equal(sampled, prior_quantiles(TwoHumps(), probabilities, seed=0))


def test_the_manifold_follows_the_models_prior() -> None:
    subject = make_subject(prior=UniformPrior())
    shown = tiles(draw("manifold", subject), CELLS, CELLS)
    expected = subject.model.decode(torch.tensor([[0.5, 5.0]]))[0, 0]
    torch.testing.assert_close(shown[CELLS // 2, CELLS // 2], expected, rtol=1e-4, atol=1e-5)


def test_the_public_names() -> None:
    names = "PLOTS Subject check_kind draw draw_all sample_sheet save_png to_grid"
    assert genlab.plots.__all__ == names.split()
    assert all(about and "\n" not in about for about in PLOTS.values())
