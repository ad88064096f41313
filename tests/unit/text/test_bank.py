"""The bank: lookup, helpful refusals, and files that are not banks."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.errors import ModelError, QueryError
from ov3d_perception.queries import make_queries
from ov3d_perception.text.bank import BankEncoder, bank_from_lists, read_bank, write_bank
from ov3d_perception.text.encoder import open_text_encoder

NAMES = ("traffic light", "forklift", "Fire_Hydrant", "light switch")
VECTORS = np.array([[3.0, 0, 0], [0, 2.0, 0], [0, 0, 1.0], [1.0, 1.0, 0]], dtype=np.float32)


@pytest.fixture
def bank() -> BankEncoder:
    return BankEncoder(NAMES, VECTORS, "test")


def test_vectors_come_back_with_unit_length(bank: BankEncoder) -> None:
    half = 0.5**0.5
    np.testing.assert_allclose(bank.encode(["forklift", "light switch"]), [[0, 1, 0], [half, half, 0]], atol=1e-6)
    assert bank.encode([]).shape == (0, 3)


@pytest.mark.parametrize("written", ["fire-hydrant", "FIRE  hydrant", " Fire_Hydrant ", "fire\thydrant"])
def test_case_space_underscore_and_hyphen_do_not_matter(bank: BankEncoder, written: str) -> None:
    np.testing.assert_array_equal(bank.encode([written]), [[0, 0, 1]])


def test_unknown_word_is_refused_with_the_nearest_names(bank: BankEncoder) -> None:
    with pytest.raises(QueryError) as refusal:
        bank.encode(["forklift", "forklfit"])
    assert str(refusal.value) == (
        '"forklfit" is not in the bank (4 names). Nearest: forklift. Use one of these, or a bundle with a text tower.'
    )


def test_nearest_names_are_found_by_word_and_by_part(bank: BankEncoder) -> None:
    assert set(bank.nearest_names("light")[:2]) == {"traffic light", "light switch"}
    assert bank.nearest_names("lift") == ["forklift"]
    assert bank.nearest_names("small red forklift truck")[0] == "forklift"


def test_word_like_no_other_is_refused_without_an_offer(bank: BankEncoder) -> None:
    with pytest.raises(QueryError, match=r'"qqq" is not in the bank \(4 names\)\. Use a name of the bank'):
        bank.encode(["qqq"])


def test_over_long_word_is_shown_short(bank: BankEncoder) -> None:
    with pytest.raises(QueryError) as refusal:
        bank.encode(["x" * 10_000])
    assert len(str(refusal.value)) < 300


def test_queries_ignore_templates_of_a_bank(bank: BankEncoder) -> None:
    queries = make_queries(["forklift"], bank, templates=["a photo of a {}"])
    np.testing.assert_array_equal(queries.text, [[0, 1, 0]])


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_bank_survives_its_file(tmp_path: Path, kind: type) -> None:
    write_bank(tmp_path / "bank.npz", NAMES, VECTORS.astype(kind), "clip:test")
    encoder = open_text_encoder(tmp_path)
    assert (encoder.space, encoder.dim, encoder.supports_templates) == ("clip:test", 3, False)
    np.testing.assert_array_equal(encoder.encode(["traffic light"]), [[1, 0, 0]])
    with np.load(tmp_path / "bank.npz", allow_pickle=False) as arrays:
        assert {name: arrays[name].shape for name in arrays.files} == {"names": (4,), "vectors": (4, 3), "space": ()}
        assert arrays["vectors"].dtype == kind


def test_double_precision_is_written_as_single(tmp_path: Path) -> None:
    write_bank(tmp_path / "bank.npz", NAMES, VECTORS.astype(np.float64), "clip:test")
    with np.load(tmp_path / "bank.npz", allow_pickle=False) as arrays:
        assert arrays["vectors"].dtype == np.float32


@pytest.mark.parametrize(
    ("names", "vectors"),
    [
        ((), np.empty((0, 3), dtype=np.float32)),
        (("car", "Car"), np.ones((2, 3), dtype=np.float32)),
        (("traffic_light", "traffic light"), np.ones((2, 3), dtype=np.float32)),
        ((" ",), np.ones((1, 3), dtype=np.float32)),
        (("car",), np.zeros((1, 3), dtype=np.float32)),
        (("car",), np.full((1, 3), np.nan, dtype=np.float32)),
        (("car",), np.full((1, 3), np.inf, dtype=np.float16)),
        (("car",), np.ones((2, 3), dtype=np.float32)),
        (("car",), np.ones((1, 0), dtype=np.float32)),
        (("car",), np.ones(3, dtype=np.float32)),
        (("car",), np.ones((1, 3), dtype=np.int64)),
    ],
)
def test_bank_that_cannot_answer_is_refused(tmp_path: Path, names: tuple[str, ...], vectors: np.ndarray) -> None:
    with pytest.raises(ModelError, match="bank"):
        write_bank(tmp_path / "bank.npz", names, vectors, "test")
    assert not (tmp_path / "bank.npz").exists()
    np.savez(tmp_path / "bank.npz", names=np.array(names, dtype="U8"), vectors=vectors, space=np.array("test"))
    with pytest.raises(ModelError, match="bank"):
        read_bank(tmp_path / "bank.npz")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04broken"])
def test_corrupt_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bank.npz").write_bytes(content)
    with pytest.raises(ModelError, match=r"bank bank\.npz: cannot be read"):
        read_bank(tmp_path / "bank.npz")


def test_every_damaged_byte_is_a_clear_error_or_harmless(tmp_path: Path) -> None:
    write_bank(tmp_path / "bank.npz", NAMES, VECTORS, "clip:test")
    content = (tmp_path / "bank.npz").read_bytes()
    refused = 0
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        (tmp_path / "bank.npz").write_bytes(damaged)
        try:
            read_bank(tmp_path / "bank.npz")
        except ModelError:
            refused += 1
    assert refused > 50  # the rest are fields of a zip that nobody reads, such as dates


def test_header_that_claims_a_huge_array_is_refused(tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 512), }"
    header += b" " * (117 - len(header)) + b"\n"
    with zipfile.ZipFile(tmp_path / "bank.npz", "w") as archive:
        for name in ("names", "vectors", "space"):
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(ModelError, match="cannot be read"):
        read_bank(tmp_path / "bank.npz")


def test_missing_array_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "bank.npz", names=np.array(["car"]), vectors=np.ones((1, 3), dtype=np.float32))
    with pytest.raises(ModelError, match="space"):
        read_bank(tmp_path / "bank.npz")


def test_pickled_names_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "bank.npz", names=np.array(["car", None], dtype=object), vectors=np.ones((2, 3)), space="x")
    with pytest.raises(ModelError, match="cannot be read"):
        read_bank(tmp_path / "bank.npz")


def test_folder_without_text_side_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no text side"):
        open_text_encoder(tmp_path)


def test_half_a_tower_is_refused_even_beside_a_bank(tmp_path: Path) -> None:
    write_bank(tmp_path / "bank.npz", NAMES, VECTORS, "clip:test")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer\.json is there, text\.onnx is missing"):
        open_text_encoder(tmp_path)


def test_lists_of_names_and_of_objects_with_synonyms_become_banks(tmp_path: Path) -> None:
    entries = ["Car", {"name": "aerosol_can", "synonyms": ["aerosol_can", "spray_can", "car"]}, "car"]
    (tmp_path / "names.json").write_text(json.dumps(entries))
    np.save(tmp_path / "rows.npy", np.array([[2, 0], [0, 3], [1, 1]], dtype=np.float16))
    bank = bank_from_lists(tmp_path / "names.json", tmp_path / "rows.npy", "test")
    assert bank.names == ("car", "aerosol can", "spray can")  # the first row of a name, never a synonym's, is taken
    np.testing.assert_array_equal(bank.encode(["car", "spray-can"]), [[1, 0], [0, 1]])


@pytest.mark.parametrize("entries", [[], {}, [1], [""], [{"synonyms": ["a"]}], [{"name": "a", "synonyms": [2]}], ["a"]])
def test_list_that_does_not_fit_its_rows_is_refused(tmp_path: Path, entries: object) -> None:
    (tmp_path / "names.json").write_text(json.dumps(entries))
    np.save(tmp_path / "rows.npy", np.ones((2, 3), dtype=np.float32))
    with pytest.raises(ModelError, match=r"names\.json"):
        bank_from_lists(tmp_path / "names.json", tmp_path / "rows.npy", "test")


def test_real_clip_rows_are_nearest_to_their_own_name_in_another_list(real_data: Path) -> None:
    folder = real_data / "clip_text"
    coco, oid = (
        bank_from_lists(folder / f"{name}_names.json", folder / f"{name}_clip_a+cname.npy", "clip:ViT-B-32/openai")
        for name in ("coco", "oid")
    )
    shared = [name for name in coco.names if name in oid]
    similarity = coco.encode(shared) @ oid.encode(oid.names).T
    assert len(shared) > 50
    assert [oid.names[row] for row in similarity.argmax(axis=1)] == shared


def test_real_lvis_bank_knows_synonyms_and_offers_what_it_has(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "clip_text"
    lvis = bank_from_lists(folder / "lvis_v1_names.json", folder / "lvis_v1_clip_a+cname.npy", "clip:ViT-B-32/openai")
    write_bank(tmp_path / "bank.npz", lvis.names, lvis.encode(lvis.names), lvis.space)
    bank = read_bank(tmp_path / "bank.npz")
    np.testing.assert_array_equal(bank.encode(["aeroplane"]), bank.encode(["airplane"]))
    with pytest.raises(QueryError, match="Nearest: forklift"):
        bank.encode(["forklfit"])
