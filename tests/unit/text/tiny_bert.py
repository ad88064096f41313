"""A random sentence encoder of two hundred tokens in the folder layout of the real ones."""

import json
import string
from pathlib import Path
from typing import Any

WORDS = ["car", "truck", "red", "street", "photo", "house", "tree", "tarmac", "chair", "of", "in", "the"]
VOCABULARY = ["[PAD]", "[unused0]", "東", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.digits, *string.punctuation]
VOCABULARY += [*string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase), *WORDS]
WIDTH, HIDDEN, LAYERS, PLACES = 32, 48, 3, 40


def write_tiny_bert(folder: Path) -> Path:
    """Write config.json, model.safetensors and tokenizer.json; every weight matters."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(5)

    def draw(*shape: int) -> Any:
        return 0.3 * torch.randn(shape, generator=generator)

    weights = {
        "embeddings.word_embeddings.weight": draw(len(VOCABULARY), WIDTH),
        "embeddings.position_embeddings.weight": draw(PLACES, WIDTH),
        "embeddings.token_type_embeddings.weight": draw(2, WIDTH),
        **_norm("embeddings.LayerNorm", draw),
    }
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            weights |= _linear(f"{name}.attention.{part}", draw, WIDTH, WIDTH)
        weights |= _linear(f"{name}.intermediate.dense", draw, HIDDEN, WIDTH)
        weights |= _linear(f"{name}.output.dense", draw, WIDTH, HIDDEN)
        weights |= _norm(f"{name}.attention.output.LayerNorm", draw) | _norm(f"{name}.output.LayerNorm", draw)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors")
    config = {"model_type": "bert", "hidden_act": "gelu", "max_position_embeddings": PLACES, "layer_norm_eps": 1e-12}
    config |= {"num_hidden_layers": LAYERS, "num_attention_heads": 4}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    _write_tokenizer(folder / "tokenizer.json")
    return folder


def _linear(name: str, draw: Any, outputs: int, inputs: int) -> dict[str, Any]:
    return {f"{name}.weight": draw(outputs, inputs), f"{name}.bias": draw(outputs)}


def _norm(name: str, draw: Any) -> dict[str, Any]:
    return {f"{name}.weight": 1.0 + draw(WIDTH), f"{name}.bias": draw(WIDTH)}


def _write_tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    ids = {token: number for number, token in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    )
    tokenizer.save(str(path))
