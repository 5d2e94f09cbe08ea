"""The settings of the store: where its servers are, and how many of them have to hold what counts."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gateway.core.located import Shape
from gateway.core.store_address import Kind, read_address
from gateway.core.values import Count, CountFromZero, Duration

EMBEDDED = "embedded"


def _store_url(url: str) -> str:
    return url if url == EMBEDDED else read_address(url).url


StoreUrl = Annotated[str, AfterValidator(_store_url)]


def _majority(made: dict[str, Any]) -> int:
    """How many replicas make a majority of the servers, together with the primary."""
    return (1 + int(made.get("replicas", 0))) // 2


class Store(Shape):
    """After loading, a `password` holds what its `password-file` holds, where that is given.

    Each primary has `replicas`; a write counts once `acknowledge` of them hold it.
    """

    url: StoreUrl = EMBEDDED
    data_dir: Path = Path("data")
    password: SecretStr | None = None
    password_file: Path | None = None
    sentinel_password: SecretStr | None = None
    sentinel_password_file: Path | None = None
    timeout: Duration = 2.0
    shards: Annotated[Count, Field(le=256)] = 1
    lease: Annotated[Duration, Field(ge=0.2, le=60)] = 2.0
    live_grace: Annotated[Duration, Field(le=600)] = 3.0
    replicas: CountFromZero = 0
    acknowledge: CountFromZero = Field(default_factory=_majority)

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password and self.password_file:
            raise ValueError("give password or password-file, not both")
        if self.sentinel_password and self.sentinel_password_file:
            raise ValueError("give sentinel-password or sentinel-password-file, not both")
        return self

    @model_validator(mode="after")
    def _fits_the_servers(self) -> Self:
        embedded = self.url == EMBEDDED
        if embedded and self.replicas:
            raise ValueError("the embedded store has no replicas")
        of_sentinels = self.sentinel_password or self.sentinel_password_file
        if of_sentinels and (embedded or read_address(self.url).kind is not Kind.SENTINEL):
            raise ValueError("sentinel-password is for a url that starts with redis+sentinel://")
        return self

    @model_validator(mode="after")
    def _acknowledged_by_those_that_there_are(self) -> Self:
        if self.acknowledge > self.replicas:
            raise ValueError("acknowledge must not be more than replicas")
        if self.replicas and not self.acknowledge:
            raise ValueError(
                "acknowledge must be at least 1 where there are replicas: else nothing is confirmed"
            )
        return self
