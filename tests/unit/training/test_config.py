import pytest

from ov3d_perception.errors import ConfigError
from ov3d_trainer.config import (
    SourceConfig,
    TrainConfig,
    config_from_dict,
    config_to_dict,
    evaluation_source,
    load_config,
    save_config,
)


def write(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_settings_override_the_file(tmp_path):
    path = write(tmp_path, "steps: 5\nloss: {temperature: 0.5}\n")
    config = load_config(path, ["loss.temperature=0.25", "data.path=/some/folder", "inputs.features=[one,z]"])
    assert (config.steps, config.loss.temperature, config.loss.cosine) == (5, 0.25, 1.0)
    assert config.data.path == "/some/folder"
    assert config.inputs.features == ["one", "z"]


def test_setting_to_nothing_is_the_empty_text(tmp_path):
    assert load_config(write(tmp_path, "cache: somewhere"), ["cache="]).cache == ""


@pytest.mark.parametrize(
    ("text", "key", "offer"),
    [
        ("stepz: 5", "stepz", "'steps'"),
        ("loss: {temprature: 0.1}", "loss.temprature", "'loss.temperature'"),
        ("zzz: 1", "zzz", "Known are"),
        ("steps: {number: 5}", "steps.number", "one value"),
    ],
)
def test_unknown_key_names_itself_and_the_nearest(tmp_path, text, key, offer):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert key in str(caught.value)
    assert offer in str(caught.value)


def test_unknown_setting_names_the_nearest():
    with pytest.raises(ConfigError, match=r"data\.paht: unknown key\. Did you mean 'data\.path'"):
        load_config(None, ["data.paht=x"])


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("steps=many", "steps"),
        ("loss.temperature=hot", "loss.temperature"),
        ("augmentation.rotate=[1]", "augmentation.rotate"),
        ("loss=3", "loss"),
    ],
)
def test_wrong_type_names_the_key(setting, key):
    with pytest.raises(ConfigError, match=key):
        load_config(None, [setting])


OUT_OF_RANGE = [
    "steps=0", "batch=0", "loss.temperature=0", "inputs.features=[warmth]", "schedule.kind=sudden", "seed=-1",
    "optimiser.gradient_clip=-1", "optimiser.weight_decay=-0.1", "optimiser.momentum=-0.1",
    "optimiser.betas=[0.9,1]", "optimiser.betas=[0.9]", "optimiser.dampening=1.1",
]  # fmt: skip


@pytest.mark.parametrize("setting", OUT_OF_RANGE)
def test_value_out_of_range_names_the_key(setting):
    with pytest.raises(ConfigError, match=setting.split("=")[0].replace(".", r"\.")):
        load_config(None, [setting])


def test_setting_without_value_is_refused():
    with pytest.raises(ConfigError, match="key=value"):
        load_config(None, ["steps"])


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        load_config(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(write(tmp_path, "steps: [1"))
    with pytest.raises(ConfigError, match="expected keys and values"):
        load_config(write(tmp_path, "- 1"))


def test_saved_configuration_reads_back_equal(tmp_path):
    config = load_config(None, ["steps=7", "optimiser.betas=[0.8,0.9]"])
    save_config(tmp_path / "saved.yaml", config)
    assert load_config(tmp_path / "saved.yaml") == config
    assert config_from_dict(config_to_dict(config)) == config
    assert config != TrainConfig()


@pytest.mark.parametrize(
    "name",
    [
        "real_keyframe.yaml",
        "street_labels.yaml",
        "demo_student.yaml",
        "nuscenes_clip.yaml",
        "robot_bag.yaml",
    ],
)
def test_shipped_configurations_are_valid(configs, name):
    assert load_config(configs / name).steps > 0


def test_evaluation_takes_the_path_of_the_data_where_it_names_none():
    data = SourceConfig(kind="nuscenes", path="here", split="train")
    assert evaluation_source(TrainConfig(data=data)) == data
    own = TrainConfig(data=data, evaluation=SourceConfig(kind="nuscenes", split="val"))
    assert evaluation_source(own) == SourceConfig(kind="nuscenes", path="here", split="val")
    other = SourceConfig(kind="street", seeds="1")
    assert evaluation_source(TrainConfig(data=data, evaluation=other)) == other


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ("teacher.window=128", r"teacher\.window: expected 0, or teacher\.stride \(224\) and more, got 128"),
        ("teacher.min_depth_m=-5", r"teacher\.min_depth_m: expected a positive number"),
    ],
)
def test_lifting_that_would_leave_holes_is_refused(setting, what):
    with pytest.raises(ConfigError, match=what):
        load_config(None, [setting])
