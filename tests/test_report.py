"""The page of a run: what it says, that nothing in it runs or is fetched, and that it fits a phone."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
import subprocess
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

import genlab
from genlab.cli import main
from genlab.report import PAGE, write_report
from genlab.report.charts import ticks
from genlab.report.page import VOID, Html, beside, tag, together
from genlab.runs import RunDirectory
from genlab.source import read_text
from genlab.units import bytes_said
from genlab.writing import as_yaml
from tests.children import At, raised
from tests.conftest import BARS

Captured = pytest.CaptureFixture[str]
REPORT = Path(genlab.__file__).parent / "report"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
INVISIBLE = {"style", "title"}


class Page(HTMLParser):
    """A page, read strictly: each element closed in its turn, each attribute given once."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, str | None]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, str] = {}
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), (tag, attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("id")))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop()[0] == tag, f"</{tag}> is out of its turn"

    def handle_data(self, data: str) -> None:
        if any(element in INVISIBLE for element, _ in self.open):
            return
        self.text += data
        for element, name in self.open:
            if element == "section" and name:
                self.sections[name] = self.sections.get(name, "") + data

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]


def page_of(run: Path) -> Page:
    return Page(write_report(run).read_text("utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> genlab.Run:
    """A small run with plots and page, for tests that change nothing in it."""
    folder = tmp_path_factory.mktemp("whole")
    recipe = folder / "bars.yaml"
    recipe.write_text(BARS)
    with pytest.MonkeyPatch.context() as own:
        own.setenv("GENLAB_STATE", str(folder / "state"))
        return genlab.run(recipe, runs=folder / "runs", device="cpu")


@pytest.fixture
def run(whole: genlab.Run, tmp_path: Path) -> Path:
    """A copy of it without plots and page, found by its name."""
    copy = tmp_path / "runs" / "bars" / whole.directory.name
    shutil.copytree(whole.directory, copy, ignore=shutil.ignore_patterns("*.png", PAGE))
    return copy


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# -- what it says -------------------------------------------------------------------------------------------


def test_a_run_leaves_a_page_with_all_that_there_is_to_know(whole: genlab.Run) -> None:
    run, page = whole, Page((whole.directory / PAGE).read_text("utf-8"))
    assert list(page.sections) == [
        "curves", "plots", "metrics", "recipe", "layers", "use-it", "make-it-again", "timing", "environment",
        "files", "model-card",
    ]  # fmt: skip
    said = page.sections
    best = run.metrics["val/loss"]
    assert f"best val/loss{best:.2f} nats" in page.text
    assert f"{best:.2f}" in said["curves"]
    for metric, value in run.metrics.items():
        assert f"{metric}{value:.3f}" in said["metrics"]
    assert "exact means over all 40 validation examples" in said["metrics"]
    assert "All 2 evaluations" in said["metrics"]
    assert "batch_size: 32" in said["recipe"]
    assert "eval_batch_size: 500" in said["recipe"]
    parameters = sum(p.numel() for p in run.model.parameters())
    assert f"total{parameters:,}" in said["layers"]
    assert "encoder.net.1.0" in said["layers"]
    assert f"genlab.load({str(run.directory)!r})" in said["use-it"]
    environment = RunDirectory(run.directory).environment()
    assert environment.command in said["make-it-again"]
    assert f"genlab run {run.directory}/resolved.yaml --device cpu" in said["make-it-again"]
    assert f"numpy=={environment.libraries['numpy']}" in said["make-it-again"]
    assert environment.libraries["torch"] in said["environment"]
    assert "genlab-tiny" in said["environment"]
    assert "images/s" in said["timing"]
    assert "model/model.safetensors" in said["files"]
    assert f"{parameters:,} parameters, x of shape (1, 4, 4)" in said["model-card"]


def test_plots_are_in_the_page_each_with_its_caption(whole: genlab.Run) -> None:
    page = Page((whole.directory / PAGE).read_text("utf-8"))
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    drawn = {path.stem for path in (whole.directory / "plots").glob("*.png")} - {"losses"}  # the curves are those
    assert len(images) == len(drawn) > 3
    for kind, about in genlab_plots().items():
        if kind in drawn:
            assert f"{kind}: {about}" in page.sections["plots"]
            assert f"Plot of {kind}: {about}" in page.attributes("alt")
    assert all(str(attrs["src"]).startswith("data:image/png;base64,iVBOR") for attrs in images)


def genlab_plots() -> dict[str, str]:
    from genlab.plots import PLOTS

    return dict(PLOTS)


def test_the_curves_mark_the_kept_model(run: Path) -> None:
    page = page_of(run)
    told = [label for label in page.attributes("aria-label") if label.startswith("loss: ")]
    best = RunDirectory(run).status().best["val/loss"]
    assert len(told) == 1
    assert f"{best:.2f} at the kept model" in told[0]
    assert [attrs for tag, attrs in page.tags if attrs.get("class") == "best"]


def test_the_origin_of_each_key_stands_beside_it(run: Path) -> None:
    origins = {
        "latent": "recipes/deep/bars.yaml:3:9",
        "train.epochs": "override train.epochs=2",
        "seed": "default",
    }
    (run / "origins.json").write_text(json.dumps(origins))
    text = page_of(run).sections["recipe"]
    assert "latent: 2bars.yaml:3:9" in text
    assert "epochs: 2override train.epochs=2" in text
    assert "seed: 0default" in text
    assert "Files: recipes/deep/bars.yaml." in text


def test_files_of_one_name_are_told_apart(run: Path) -> None:
    origins = {"latent": "a/bars.yaml:3:9", "seed": "b/bars.yaml:1:1"}
    (run / "origins.json").write_text(json.dumps(origins))
    text = page_of(run).sections["recipe"]
    assert "latent: 2a/bars.yaml:3:9" in text
    assert "seed: 0b/bars.yaml:1:1" in text


@pytest.mark.parametrize(
    "value", ["no", "1e3", "a: b", "# c", "", " x", "plain words", "ü", 'q"\\', "null", "val/loss"]
)
def test_values_are_shown_as_a_recipe_would_have_them(value: str) -> None:
    assert read_text(as_yaml(value), "here").plain() == value
    assert read_text(as_yaml([value, 1e-7, None, {"a": True}]), "here").plain() == [value, 1e-7, None, {"a": True}]


def test_the_same_run_has_the_same_page(run: Path) -> None:
    assert write_report(run).read_bytes() == write_report(run).read_bytes()


# -- runs that did not end well -----------------------------------------------------------------------------


def test_a_failed_run_has_a_page_that_says_why(bars: Path) -> None:
    with pytest.raises(genlab.GenlabError, match="not finite"):
        genlab.run(bars, {"optimizer": {"use": "sgd", "lr": 1e30}}, device="cpu")
    (path,) = Path(os.environ["GENLAB_RUNS"]).glob(f"*/*/{PAGE}")
    page = Page(path.read_text("utf-8"))
    assert "This run failed: the loss is not finite at step" in page.text
    assert "It has kept no model." in page.text
    assert "can only be started again" in page.text
    assert "The run ended before its first evaluation." in page.sections["metrics"]
    assert "failed: the loss is not finite" in page.sections["log"]


def test_an_interrupted_run_says_how_to_go_on_and_once_resumed_that_it_is_done(bars: Path) -> None:
    run = genlab.run(bars, {"train.epochs": 3}, device="cpu", callbacks=[At(9, raised(signal.SIGINT))])
    assert run.status == "interrupted"
    page = Page((run.directory / PAGE).read_text("utf-8"))
    assert "This run was interrupted" in page.text
    assert f"genlab resume {run.directory}" in page.text
    genlab.resume(run.directory)
    page = Page((run.directory / PAGE).read_text("utf-8"))
    assert "completed" in page.text
    assert "genlab resume" not in page.text
    assert "All 3 evaluations" in page.sections["metrics"]


def test_a_run_whose_process_is_gone_says_so(run: Path) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    edit(run / "status.json", status="running", pid=child.pid, finished=None)
    text = page_of(run).text
    assert f"The process of this run (number {child.pid}" in text
    assert f"genlab resume {run}" in text


def test_a_run_under_way_says_so(run: Path) -> None:
    edit(run / "status.json", status="running", pid=os.getpid(), finished=None)
    assert "under way when this page was written" in page_of(run).text


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe{", b"[]", b'{"a": 1}'])
def test_whatever_is_missing_or_damaged_the_rest_is_shown(run: Path, content: bytes | None) -> None:
    status = (run / "status.json").read_bytes()
    for path in [path for path in run.rglob("*") if path.is_file()]:
        path.unlink() if content is None else path.write_bytes(content)
    (run / "status.json").write_bytes(status)
    page = page_of(run)
    assert f"best val/loss{RunDirectory(run).status().best['val/loss']:.2f}" in page.text
    assert "env.json cannot be read" in page.sections["environment"]
    assert "cannot be listed" in page.sections["layers"]


def test_parts_that_are_not_installed_hide_the_layers_alone(run: Path) -> None:
    resolved = run / "resolved.yaml"
    resolved.write_text(resolved.read_text().replace("use: mlp", "use: gone"))
    page = page_of(run)
    assert "cannot be listed here" in page.sections["layers"]
    assert "'gone'" in page.sections["layers"]
    assert "use: gone" in page.sections["recipe"]


def test_a_page_that_cannot_be_written_fails_no_run(
    bars: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("no such luck")

    monkeypatch.setattr("genlab.report.write_report", broken)
    run = genlab.run(bars, {"train.epochs": 1}, device="cpu")
    assert run.status == "completed"
    assert "no report was written: no such luck" in caplog.text
    assert "no report was written: no such luck" in (run.directory / "log.txt").read_text()


# -- nothing runs, nothing is fetched ------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    '"><img src=http://x.example/a.png onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "&lt;b&gt; <b>bold</b> &#60;",
    "![x](http://x.example/a.png) [y](javascript:alert(1)) <http://x.example>",
    "\u202egnp.exe\u2066 \x1b[31m \x00 \ud800 \ufeff",
    "שלום עולם",
    "W" * 3000,
    "-->]]><!--",
]


def hostile(run: Path, text: str) -> None:
    """Put a text wherever a user, a plugin or a file name can."""
    text = text.encode("utf-8", "replace").decode()  # files in UTF-8 cannot have half a pair
    edit(run / "status.json", name=text, message=text, status="failed")
    environment = json.loads((run / "env.json").read_text())
    edit(
        run / "env.json", command=text, device=text, platform=text, runner_figures={text: text},
        libraries=environment["libraries"] | {text: text}, plugins={text: text},
    )  # fmt: skip
    edit(run / "model" / "metrics.json", protocol=text)
    (run / "model" / "README.md").write_text(f"# {text}\n\n{text}\n\n```{text}\n{text}\n```\n")
    rows = [
        json.loads(line) | {f"val/{text}": 1.0, text: 2.0}
        for line in (run / "metrics.jsonl").read_text().splitlines()
    ]
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (run / "recipe.yaml").write_text(text)
    (run / "log.txt").write_text(f"{text}\n")
    (run / "origins.json").write_text(
        json.dumps({"latent": f"{text}:1:2", "seed": f"override {text}", "data.use": text})
    )
    clean = re.sub(r"[^ -~\u0590-\u05ff]", "", text).replace("/", "")[:60]
    quoted, resolved = json.dumps(clean, ensure_ascii=False), (run / "resolved.yaml").read_text()
    (run / "resolved.yaml").write_text(f"{quoted}: [{quoted}]\n" + resolved.replace("''", quoted))
    (run / "plots" / f"{clean}.png").write_bytes(b"not a PNG")
    (run / clean).write_bytes(b"")


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:24])
def test_what_users_wrote_is_text_and_no_more(run: Path, text: str) -> None:
    plain = page_of(run)
    hostile(run, text)
    page = page_of(run)
    allowed = {name for name, _ in plain.tags} | {"pre", "span"}
    card = {
        "h3",
        "h4",
        "p",
        "em",
        "strong",
        "code",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "hr",
        "blockquote",
    }
    assert {name for name, _ in page.tags} <= allowed | card
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert not re.search("[\u202e\u2066\x1b\x00\ud800\ufeff]", page.text)
    only_local(page)
    if text.isprintable() and "\ud800" not in text:
        for where in ("make-it-again", "metrics", "environment", "model-card", "log", "recipe", "files"):
            assert text[:30].replace("/", "") in page.sections[where].replace("/", ""), where


def only_local(page: Page) -> None:
    """Nothing leads out of the page."""
    for name in ("src", "href", "srcset", "action", "data", "poster", "background"):
        for target in page.attributes(name):
            assert re.fullmatch(r"#[\w-]+|data:image/png;base64,[\w+/=]+", target), target
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & {name for name, _ in page.tags}
    policies = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert str(policies[0]).startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")


def test_the_page_refers_to_nothing_outside_itself(whole: genlab.Run) -> None:
    path = whole.directory / PAGE
    only_local(Page(path.read_text("utf-8")))
    assert not re.search(r"url\(|@import|@font-face", path.read_text("utf-8"))
    assert path.stat().st_size < 1_000_000


def test_every_link_of_the_contents_leads_to_a_section(run: Path) -> None:
    page = page_of(run)
    ids = page.attributes("id")
    assert len(set(ids)) == len(ids)
    links = [target.removeprefix("#") for target in page.attributes("href")]
    assert links == list(page.sections)


def test_headings_tables_and_pictures_can_be_read_aloud(whole: genlab.Run) -> None:
    page = Page((whole.directory / PAGE).read_text("utf-8"))
    levels = [int(name[1]) for name, _ in page.tags if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(attrs.get("scope") in ("row", "col") for name, attrs in page.tags if name == "th")
    assert all(attrs.get("alt") for name, attrs in page.tags if name == "img")
    assert all(attrs.get("aria-label") for name, attrs in page.tags if attrs.get("role") == "img")


def test_text_becomes_markup_through_the_builder_alone() -> None:
    bold = tag("b", "x < y")
    assert together("a & ", bold) == "a &amp; <b>x &lt; y</b>"
    assert together(f"{bold}") == "&lt;b&gt;x &amp;lt; y&lt;/b&gt;"  # an f-string is text again
    assert not isinstance(bold + "<i>", Html)
    for target in ("http://x.example", "//x.example", "javascript:alert(1)", "data:text/html,x", "/etc/passwd"):
        with pytest.raises(ValueError, match="only a place in the page"):
            tag("a", "x", href=target)
    assert beside("a b/javascript:x.html") == "a%20b/javascript%3Ax.html"
    makers = {
        path.name
        for path in REPORT.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Html"
    }
    assert makers == {"page.py", "prose.py"}


# -- how it looks --------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_what_it_is_on(scheme: int) -> None:
    style = (REPORT / "style.css").read_text()
    colours = dict(
        re.findall(
            r"--([\w-]+): (#[0-9a-f]{6});", style.split("@media screen and (prefers-color-scheme: dark)")[scheme]
        )
    )
    pairs = [(text, ground) for text in ("ink", "quiet", "link", "accent") for ground in ("paper", "ground")]
    pairs += [("ink", "code"), ("quiet", "code"), *((w, f"{w}-ground") for w in ("good", "warn", "bad", "busy"))]
    pairs += [("ink", f"{w}-ground") for w in ("good", "warn", "bad", "busy")]
    for text, ground in pairs:
        low, high = sorted((luminance(colours[text]), luminance(colours[ground])))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


def chromium(*arguments: str, profile: Path) -> str:
    assert CHROMIUM is not None
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    done = subprocess.run(
        [CHROMIUM, *flags, f"--user-data-dir={profile}", *arguments], capture_output=True, text=True, timeout=120
    )
    return done.stdout


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("text", [None, HOSTILE[2] + "W" * 3000], ids=["bars", "hostile"])
def test_the_page_fits_a_phone(whole: genlab.Run, run: Path, tmp_path: Path, text: str | None) -> None:
    shutil.copytree(whole.directory / "plots", run / "plots", dirs_exist_ok=True)
    if text is not None:
        hostile(run, text)
    page = write_report(run)
    around = tmp_path / "around.html"
    around.write_text(
        f"<iframe src='{page.as_uri()}' style='width:360px;height:700px;border:0'></iframe>"
        "<p id=found></p><script>"
        "onload = () => { const d = frames[0].document;"
        "found.textContent = ['width', d.documentElement.scrollWidth, d.querySelectorAll('section').length,"
        "[...d.images].every(i => i.complete && i.naturalWidth > 0)].join(' ') }</script>"
    )
    dom = chromium("--allow-file-access-from-files", "--dump-dom", around.as_uri(), profile=tmp_path / "a")
    assert re.search(r"width 360 1[12] true", dom), dom[-300:]
    shot = tmp_path / "shot.png"
    chromium("--window-size=360,800", f"--screenshot={shot}", page.as_uri(), profile=tmp_path / "b")
    assert shot.read_bytes()[16:24] == (360).to_bytes(4, "big") + (800).to_bytes(4, "big")


def test_ticks_are_round_and_sizes_readable() -> None:
    assert ticks(151.2, 166.4) == [155.0, 160.0, 165.0]
    assert ticks(1, 17, whole=True) == [5, 10, 15]
    assert ticks(1, 3, whole=True) == [1, 2, 3]
    assert ticks(2, 2) == [2]
    assert [bytes_said(n) for n in (0, 999, 1000, 538_196, 2_500_000_000)] == [
        "0 B", "999 B", "1.0 kB", "538.2 kB", "2.5 GB",
    ]  # fmt: skip


# -- the command ---------------------------------------------------------------------------------------------


def test_report_takes_a_directory_or_a_name_and_prints_where_the_page_is(
    run: Path, tmp_path: Path, capsys: Captured
) -> None:
    newer = Path(shutil.copytree(run, run.with_name("newer")))
    edit(newer / "status.json", status="failed", started="2999-01-01T00:00:00+00:00")
    out = tmp_path / "page.html"
    for arguments, path in [
        (["report", str(run)], run / PAGE),
        (["report", "bars"], newer / PAGE),
        (["report", "bars", "-o", str(out)], out),
    ]:
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code in (0, None)
        assert capsys.readouterr().out == f"{path}\n"
        Page(path.read_text("utf-8"))
    assert "failed" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["barz"],
            "no run 'barz': no run directory at that path",
        ),
        (["bars", "-o", "page.pdf"], "page.pdf: output is HTML; choose a name that ends in .html"),
        (["bars", "-o", "nowhere/page.html"], "nowhere/page.html: there is no folder nowhere"),
        (["x\0y"], "no run 'x\\x00y'"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_message(run: Path, arguments: list[str], message: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["report", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_bundle_is_no_run(run: Path, capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main(["report", str(run / "model")])
    assert (
        f"a model, not a run; what is known of it is in {run / 'model' / 'README.md'}" in capsys.readouterr().err
    )
