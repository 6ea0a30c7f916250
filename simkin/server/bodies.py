"""The JSON that requests bring, as it is checked and documented."""

from __future__ import annotations

from typing import Annotated, Any, Literal

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
    rerank: Text | None = Field(None, description="How the closest are ordered anew; null for the catalog's own way.")
    weights: dict[Text, Weight] | None = Field(
        None, description="Facets, or kinds of facets, weighed otherwise than the relation does; 0 leaves one out."
    )


class Questions(_Body):
    """Several questions, each answered by itself."""

    queries: list[dict[str, Any]] = Field(max_length=256)


class Outfit(_Body):
    """Items that are there, and slots to fill."""

    items: list[Text] = Field(description="Ids of the items given.", max_length=MOST_ITEMS)
    slots: list[Text] = Field(description="Categories to fill, one item each.", max_length=MOST_ITEMS)
    relation: Text = "style"
    alternatives: int = 3
    diversity: float = 0.3
    max_price: float | None = None
    where: Text = Field("", description="A filter on the items chosen.")


class PlaylistWish(_Body):
    """What a playlist should be."""

    seeds: list[Text] = Field(description="Ids of the tracks it begins with.", max_length=MOST_ITEMS)
    to: Text | None = Field(None, description="The track it ends with, which makes it a path.")
    mode: Literal["radius", "chain", "path"] | None = None
    relation: Text | None = None
    length: int | None = None
    minutes: float | None = None
    artist_gap: int = Field(3, description="Other tracks between two of one artist.")
    trend: Literal["tempo up", "tempo down", "energy up", "energy down"] | None = None
    seed: int = Field(0, description="0 for the closest; others vary what is chosen, the same each time.")
    where: Text = Field("", description="A filter on the tracks found.")


class Named(_Body):
    """Items, by id."""

    ids: list[Text] = Field(max_length=MOST_ITEMS)


Attributes = dict[Text, Text | bool | int | float | None]


class Change(_Body):
    """New values of some attributes; null takes one away."""

    attributes: Attributes


class Feedback(_Body):
    """How well one item goes with another."""

    source: Text
    target: Text
    relation: Text
    weight: float = Field(1.0, description="In place of what was said of this pair before; 0 takes it back.")
    user: Text | None = None


class EmbeddingRequest(BaseModel):
    """What OpenAI's clients send; keys that mean nothing here are passed over."""

    model: Text = Field(description="An encoder's name; see /api/encoders.")
    input: Text | list[Text] = Field(description="Item ids, data URLs of pictures or sounds, or base64 of them.")
    encoding_format: Literal["float", "base64"] = "float"


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
    rerank: str
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
