"""The README shows and names only what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "bags" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", document.read_text())
    missing = [target for target in targets if "://" not in target and not (document.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_figure_is_still_to_be_filled_in(document: Path) -> None:
    assert re.findall(r"[A-Z]+_FIGURES|FIGURES_[A-Z]+|(?m:^[A-Z]+_?[A-Z]+$)", document.read_text()) == []


OTHER_WORDS = {
    "automobile": "car", "bike": "bicycle", "person": "pedestrian", "road sign": "traffic sign", "street": "road",
    "house": "building", "oak": "tree", "railing": "fence", "coach": "bus", "garbage bin": "trash can",
}  # fmt: skip


def test_the_bundle_of_the_readme_reads_any_words_and_is_small() -> None:
    from ov3d_perception.artifact import open_bundle

    bundle = open_bundle(ROOT / "export" / "bundles" / "demo")
    assert bundle.card.name == "demo"
    encoder = bundle.open_text_encoder()
    encoder.encode([label.name for label in bundle.card.labels])
    names = sorted(set(OTHER_WORDS.values()))
    nearest = (encoder.encode(list(OTHER_WORDS)) @ encoder.encode(names).T).argmax(axis=1)
    assert {word: names[row] for word, row in zip(OTHER_WORDS, nearest, strict=True)} == OTHER_WORDS
    assert sum(path.stat().st_size for path in bundle.directory.iterdir()) < 25_000_000
