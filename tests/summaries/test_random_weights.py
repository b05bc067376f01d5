"""A real transformers model, its weights at random: what it writes is refused.

Once with a tokeniser of bytes, once with one whose every token is a word that the check allows, a
name or a number of the cell: the hardest nonsense to tell from a summary.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.summaries.cells import DECIDED, UNDECIDED
from tests.summaries.llm_server import Handler, completion, llm
from unstained.summaries.facts import Facts
from unstained.summaries.reading import KNOWN
from unstained.summaries.telling import Summary, tell
from unstained.summaries.template import template

ANSWERS = 6


class RandomModel:
    """A GPT-2 of 20,000 weights or so that nobody trained."""

    def __init__(self, tokens: list[str], between: str) -> None:
        import torch
        from tokenizers import Tokenizer, models, pre_tokenizers
        from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

        vocabulary = {token: n for n, token in enumerate(["<unk>", *tokens])}
        words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>")
        torch.manual_seed(7)
        size = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 256}
        self.model = GPT2LMHeadModel(GPT2Config(vocab_size=len(vocabulary), **size)).eval()
        self.between, self.torch, self.calls = between, torch, 0

    def answer(self, handler: Handler) -> None:
        asked = " ".join(message["content"] for message in handler.asked["messages"])
        ids = self.tokenizer(asked, return_tensors="pt").input_ids[:, -64:]
        self.calls += 1
        self.torch.manual_seed(self.calls)
        made = self.model.generate(
            ids,
            do_sample=True,
            max_new_tokens=4 + 6 * self.calls,
            pad_token_id=0,
            suppress_tokens=[0],
        )[0, ids.shape[1] :]
        said = self.between.join(self.tokenizer.convert_ids_to_tokens(made.tolist()))
        handler.answer(completion(f"{said}."))


def written(model: RandomModel, facts: Facts) -> list[Summary]:
    with llm(model.answer) as running:
        endpoint = running.endpoint(60.0)
        return [asyncio.run(tell(facts, endpoint)) for _ in range(ANSWERS)]


def letters() -> tuple[list[str], str]:
    return [chr(code) for code in range(33, 127)], ""


def allowed() -> tuple[list[str], str]:
    names = [
        "granulocyte",
        "monocyte",
        "CD16",
        "CD45",
        "CD3/CD19/CD56",
        "93",
        "%",
        "3.40",
        ",",
        ".",
    ]
    return sorted({*KNOWN, *names}), " "


@pytest.mark.parametrize("tokens", [letters, allowed], ids=["letters", "allowed words"])
@pytest.mark.parametrize("facts", [DECIDED, UNDECIDED], ids=["decided", "undecided"])
def test_what_random_weights_write_is_refused(tokens: Any, facts: Facts) -> None:
    summaries = written(RandomModel(*tokens()), facts)
    for summary in summaries:
        assert (summary.by, summary.text) == ("template", template(facts)), summary.answer
        assert summary.refusal is not None
        assert summary.refusal.kind != "endpoint", summary.refusal
    assert len({summary.answer for summary in summaries}) == ANSWERS
