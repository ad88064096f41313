import numpy as np
import pytest

from ov3d_perception.errors import ConfigError
from ov3d_perception.text.bank import BankEncoder
from ov3d_trainer.words.vocabulary import parse_vocabulary, queryable, read_vocabulary


def test_alias_synonym_and_name_mean_the_label():
    words = parse_vocabulary({"labels": [{"name": "tree", "synonyms": ["oak"], "aliases": ["Vegetation"]}]})
    assert [words.label_of(name) for name in ("tree", "Oak", "vegetation", "car")] == ["tree", "tree", "tree", None]


def test_names_compare_without_case_and_underscores():
    words = parse_vocabulary({"labels": ["traffic cone"], "ignore": ["Ego_Vehicle"]})
    assert words.label_of("Traffic_Cone") == "traffic cone"
    assert words.ignores("ego vehicle")


def test_alias_of_two_labels_is_refused():
    with pytest.raises(ConfigError, match="'plant' stands for both 'tree' and 'bush'"):
        parse_vocabulary({"labels": [{"name": "tree", "aliases": ["plant"]}, {"name": "bush", "aliases": ["plant"]}]})


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("lables: [car]", "Did you mean 'labels'"),
        ("background: [sky]", "'labels' is missing"),
        ("labels: [car, car]", "occurs twice"),
        ("labels: [{name: car, synonim: [x]}]", "Did you mean 'synonyms'"),
        ("labels: [no]", "name"),
        ("labels: [car]\nthreshold: 2", "threshold"),
        ("labels: [car]\ntemplates: ['x']", "templates"),
        ("labels: [", "not valid YAML"),
        ("- car", "expected keys"),
    ],
)
def test_wrong_file_is_a_config_error_that_names_it(tmp_path, text, what):
    path = tmp_path / "words.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=what) as caught:
        read_vocabulary(path)
    assert "words.yaml" in str(caught.value)


@pytest.mark.parametrize("name", ["street_vocabulary.yaml", "cityscapes_vocabulary.yaml"])
def test_shipped_vocabularies_are_valid(configs, name):
    assert "car" in read_vocabulary(configs / name).names


def test_words_that_the_text_side_lacks_are_left_out_of_the_queryable_vocabulary():
    bank = BankEncoder(("tree", "oak", "sky"), np.eye(3, dtype=np.float32), "test")
    words = parse_vocabulary(
        {"labels": [{"name": "tree", "synonyms": ["oak", "elm"]}, "road"], "background": ["sky", "haze"]}
    )
    kept = queryable(words, bank)
    assert [(label.name, label.synonyms) for label in kept.labels] == [("tree", ("oak",))]
    assert kept.background == ("sky",)
    assert kept.label_of("road") == "road"  # teachers may still mean it; it is reported as not queryable
