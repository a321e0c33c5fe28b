"""Configuration that trainings on live and spoof faces share: where both come from."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from fasgen.training.config import FacesConfig, StoreTraining


class SimulationConfig(BaseModel):
    """Spoofs made of live faces by the physical simulation: pairs without a data set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    styles: tuple[str, ...] = Field(default=(), description="styles of the physical simulation; empty: all of them")
    renders: int = Field(default=2, ge=0, description="spoofs made of each live face, each in another style; 0 makes none")
    looks: int = Field(
        default=64,
        ge=0,
        description="simulated devices a style: faces of one look share every drawn parameter; 0 draws anew a face",
    )
    workers: int = Field(default=0, ge=0, description="processes that render; 0 takes one a core")
    cache: Path | None = Field(default=None, description="folder in which trainings share what is made; none: the run's own")


class PairsConfig(BaseModel):
    """Real pairs: a store with live and spoof crops of the same people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = Field(default=None, description="store with aligned live and spoof crops; none: simulated pairs alone")
    holdout: tuple[str, ...] = Field(default=(), description="subjects, as the manifests name them, that are never trained on")
    holdout_share: float = Field(
        default=0.02,
        ge=0,
        lt=1,
        description="share of subjects held out by hash, where none are named, and one at least of ten; 0 holds out none",
    )


class GalleryTraining(StoreTraining):
    """A training on live and spoof faces: simulated from a folder of live ones, real ones of a store, or both."""

    faces: FacesConfig = Field(FacesConfig(size=256), description="live faces, and what is simulated from them")
    pairs: PairsConfig = Field(PairsConfig(), description="real live and spoof crops")
    simulation: SimulationConfig = Field(SimulationConfig(), description="spoofs made of the live faces")
