"""Small autoencoders by which rewards see pictures; people see those of the large one."""

from __future__ import annotations

from typing import TypeVar

from fmtt.models.t2i.latents import OnLatents
from fmtt.models.t2i.weights import Published, frozen, library

Model = TypeVar("Model", bound=OnLatents)


def with_tiny_decoder(model: Model, repository: str | None, download: bool) -> Model:
    """The model whose rewards see pictures by the autoencoder of a repository; None changes nothing.

    Args:
        model: the model.
        repository: on the hub, or a folder; such as madebyollin/taef1 for FLUX.1, Lumina 2 and Z-Image, taesd, taesdxl
            and taesd3 of the same author for Stable Diffusion, and the lite autoencoders of mit-han-lab for SANA.
        download: whether it is fetched if it is not on this machine.

    Raises:
        ValueError: if there are no such autoencoders for this model, this one is not on this machine, or its latents
            have another shape.
    """
    if repository is None:
        return model
    known = model.latents.tiny
    if known is None:
        raise ValueError(f"model.tiny_decoder={repository}: none is known for {type(model.latents.vae).__name__}")
    weights = Published(
        repository, "see its page on the hub", gated=False, download=download, setting="model.tiny_decoder"
    )
    seen = type(model.latents)(frozen(weights.network_in(getattr(library("diffusers"), known), "")))
    sizes, wanted = ((latents.channels, latents.down) for latents in (seen, model.latents))
    if sizes != wanted:
        raise ValueError(
            f"model.tiny_decoder={repository}: has latents of {sizes[0]} channels for {sizes[1]} x {sizes[1]} pixels, "
            f"must have {wanted[0]} for {wanted[1]} x {wanted[1]}"
        )
    model.seen = seen
    return model
