"""CLIP's byte-pair tokenizer as a `tokenizer.json`, built from open_clip's own vocabulary.

The stages after cleaning (`ov3d_perception.text.clean`) are those of GPT-2 with an end-of-word mark: cut at
contractions, words, single digits and runs of other characters; write bytes as printable characters; merge pairs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from ov3d_perception.errors import ModelError

END_OF_WORD = "</w>"
# open_clip searches without regard to case, so "'ſ" counts as "'s"; and that search finds no place for U+0345.
_PIECES = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}\x{0345}]+"
_CLEANING = "lower"


def write_tokenizer_json(tokenizer: Any, path: Path) -> None:
    """Write open_clip's `SimpleTokenizer` as a file for the `tokenizers` library.

    Start and end are in the vocabulary, but put around the words by whoever reads the file (`ClipTokenizer`).
    Raises `ModelError` for tokenizers of another kind (Hugging Face, SigLIP), another cleaning or a random masking.
    """
    check_tokenizer(tokenizer)
    model = models.BPE(
        vocab=dict(tokenizer.encoder),
        merges=[pair for pair in tokenizer.bpe_ranks if len(pair) == 2],  # the last line of the file is empty
        end_of_word_suffix=END_OF_WORD,
    )
    fast = Tokenizer(model)
    # Does nothing to text that was cleaned; makes the file usable by itself on plain words.
    fast.normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip(), normalizers.Lowercase()]
    )
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    fast.decoder = decoders.BPEDecoder(suffix=END_OF_WORD)
    fast.save(str(path), pretty=False)


def check_tokenizer(tokenizer: Any) -> None:
    """Raise `ModelError` unless this is CLIP's own tokenizer, as its vocabulary and cleaning tell."""
    name = type(tokenizer).__name__
    if not all(hasattr(tokenizer, part) for part in ("bpe_ranks", "encoder", "sot_token_id", "eot_token_id")):
        raise ModelError(f"text-tower: tokenizer {name} is not CLIP's (open_clip SimpleTokenizer). {_REMEDY}")
    cleaning = getattr(tokenizer.clean_fn, "__name__", "").removeprefix("_clean_")
    if cleaning != _CLEANING or tokenizer.reduction_fn is not None:
        raise ModelError(
            f"text-tower: tokenizer {name} cleans with {cleaning!r} and masks {tokenizer.reduction_fn is not None}, "
            f"expected {_CLEANING!r} and no masking. {_REMEDY}"
        )


_REMEDY = "Choose a model with CLIP's text side, for example ViT-B-32, or use a bank."
