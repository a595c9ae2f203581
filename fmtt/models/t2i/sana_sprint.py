"""SANA-Sprint: the consistency model of NVIDIA as look-ahead, and its teacher as velocity.

The networks are told the noise level ``q = 1 - t`` and see latents of our linear path. Both return noise minus data, so
the trigonometry of TrigFlow (arXiv 2503.09641) cancels: ``X_{t,1}(x) = x - (1 - t) out(x, q)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fmtt.flow.interpolant import expand
from fmtt.models.t2i.encodings import sana_rows
from fmtt.models.t2i.families import Sana
from fmtt.models.t2i.grids import grid_of, own
from fmtt.models.t2i.one_time import of_text
from fmtt.models.t2i.prompts import Encoder, PipelinePrompts
from fmtt.models.t2i.tiny_decoders import with_tiny_decoder
from fmtt.models.t2i.weights import Published, frozen, library

PARTS = {"text_encoder": "Gemma2Model", "tokenizer": "AutoTokenizer"}


class SanaSprint(Sana):
    """Velocity of the teacher, and the flow map to the data alone.

    Other arguments are those of :class:`fmtt.models.t2i.one_time.OneTime`.

    Args:
        student: a ``SanaTransformer2DModel`` with ``guidance_embeds``, frozen; it is told the same guidance.
        teacher: a ``SanaTransformer2DModel`` without, frozen.

    Raises:
        ValueError: if the size does not fit, or one network is in the place of the other.
    """

    data_only = True

    def __init__(
        self, student: Any, teacher: Any, vae: Any, encoder: Encoder, height: int, width: int, guidance: float = 4.5
    ):
        if teacher.config.guidance_embeds or not student.config.guidance_embeds:
            raise ValueError("model.repository, model.teacher: must be SANA-Sprint and its teacher, in this order")
        super().__init__(teacher, vae, encoder, height, width, guidance)
        self.student = student

    @property
    def networks(self) -> Sequence[Any]:
        return (self.student, self.transformer)

    def flow_map(self, x: Tensor, s: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        """``X_{s,1}(x)``, whatever t is."""
        scale = self.student.config.guidance_embeds_scale * self.guidance
        made = self.student(
            hidden_states=x,
            timestep=1 - s,
            guidance=torch.full_like(s, scale),
            return_dict=False,
            **of_text(condition, x.dtype),
        )[0]
        return x - expand(1 - s, x) * made


def load_sana_sprint(
    repository: str = "Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers",
    teacher: str = "Efficient-Large-Model/SANA_Sprint_1.6B_1024px_teacher_diffusers",
    height: int = 1024,
    width: int = 1024,
    guidance: float = 4.5,
    tiny_decoder: str | None = None,
    checkpointing: bool = False,
    download: bool = False,
) -> SanaSprint:
    """SANA-Sprint and its teacher from this machine.

    Args:
        repository, teacher: on the hub, or folders of the same layout.
        height, width: of the pictures, in pixels.
        guidance: the scale that the student is told, and that of the teacher's classifier-free guidance.
        tiny_decoder: repository of :func:`fmtt.models.t2i.tiny_decoders.with_tiny_decoder`.
        checkpointing: as in :func:`fmtt.models.t2i.weights.frozen`.
        download: whether what is not on this machine is fetched.

    Raises:
        ValueError: if diffusers or weights are missing, or the size does not fit.
    """
    diffusers, licence = library("diffusers"), "NVIDIA Open Model; see its page"
    weights = Published(repository, licence, gated=False, download=download)
    taught = Published(teacher, licence, gated=False, download=download, setting="model.teacher")
    student = weights.backbone_in(diffusers.SanaTransformer2DModel, "transformer")
    old = taught.backbone_in(diffusers.SanaTransformer2DModel, "transformer")
    vae = weights.network_in(diffusers.AutoencoderDC, "vae")
    encoder = PipelinePrompts(weights, "SanaPipeline", PARTS, ("scheduler", "vae", "transformer"), sana_rows)
    student, old, vae = (frozen(part, checkpointing) for part in (student, old, vae))
    made = SanaSprint(student, old, vae, encoder, height, width, guidance)
    made.grid = grid_of(taught, made.tokens, levels=own)
    return with_tiny_decoder(made, tiny_decoder, download)
