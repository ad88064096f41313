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
    assert re.findall(r"[A-Z]+_FIGURES|FIGURES_[A-Z]+", document.read_text()) == []


def test_the_bundle_of_the_readme_opens() -> None:
    from ov3d_perception.artifact import open_bundle

    bundle = open_bundle(ROOT / "export" / "bundles" / "street_demo")
    assert bundle.card.name == "demo_street"
    bundle.open_text_encoder().encode([label.name for label in bundle.card.labels])
    assert sum(path.stat().st_size for path in bundle.directory.iterdir()) < 10_000_000
