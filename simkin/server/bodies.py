"""The JSON that requests bring, as it is checked and documented."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MOST_ITEMS = 1000
"""Items that one question may name, on either side."""

Weight = Annotated[float, Field(ge=-1000, le=1000, allow_inf_nan=False)]


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds halves of characters") from None
    return text


Text = Annotated[str, AfterValidator(_whole)]
"""Text that can be written as UTF-8; JSON can spell what cannot."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WeightedItem(_Body):
    """An item and how much it counts."""

    id: Text
    weight: Weight = 1.0


class Question(_Body):
    """One question: items to be close to, items to move away from, and who may answer."""

    items: list[WeightedItem] = Field(default=[], max_length=MOST_ITEMS)
    negatives: list[WeightedItem] = Field(default=[], max_length=MOST_ITEMS)
    relation: Text = "similar"
    k: int = Field(10, description="How many answers, 1 to 1000.")
    where: Text = Field("", description="A filter, such as: category=Shoes and price<50")
    diversity: float = Field(0.0, description="0 for the closest, up to 1 for answers unlike each other.")
    duplicates: bool = Field(False, description="Show near-duplicates instead of collapsing them.")
    category: Text | None = Field(None, description="The category of an uploaded file, which has none of its own.")


class Questions(_Body):
    """Several questions, each answered by itself."""

    queries: list[dict[str, Any]] = Field(max_length=256)


class ErrorDetail(BaseModel):
    """What went wrong."""

    type: str
    message: str


class ErrorAnswer(BaseModel):
    """The shape of every error."""

    error: ErrorDetail


class MediumShape(BaseModel):
    """One of an item's files."""

    position: int
    modality: str
    version: str


class ItemShape(BaseModel):
    """One item."""

    id: str
    modality: str | None
    title: str
    category: str | None
    attributes: dict[str, Any]
    media: list[MediumShape]


class ItemsShape(BaseModel):
    """One page of items."""

    total: int
    offset: int
    items: list[ItemShape]


class HitShape(BaseModel):
    """One answer among several."""

    rank: int
    id: str
    score: float
    closer_than: float
    facets: dict[str, float]
    duplicates: list[str]
    item: ItemShape


class AnswerShape(BaseModel):
    """The answer to one question."""

    relation: str
    method: str
    recall: float
    generation: int
    notes: list[str]
    hits: list[HitShape]


class AnswersShape(BaseModel):
    """Answers to several questions, in their order: each an answer or an error."""

    answers: list[AnswerShape | ErrorAnswer]


class MapClusterShape(BaseModel):
    """A cluster on a map: where its name is written, and its most central items."""

    x: float
    y: float
    size: int
    share: float
    central: list[str]
    label: str


class MapShape(BaseModel):
    """A map: columns with one entry for each item shown."""

    relation: str
    modality: str
    method: str
    generation: int
    count: int
    ids: list[str]
    x: list[float]
    y: list[float]
    cluster: list[int]
    clusters: list[MapClusterShape]
