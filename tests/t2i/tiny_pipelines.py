"""Tiny random transformers, autoencoders and text encoders of flow-matching pipelines of diffusers."""

from __future__ import annotations

import torch
from diffusers import (
    AuraFlowTransformer2DModel,
    AutoencoderKLQwenImage,
    ChromaTransformer2DModel,
    Flux2Transformer2DModel,
    Lumina2Transformer2DModel,
    OvisImageTransformer2DModel,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    ZImageTransformer2DModel,
)
from transformers import (
    ByT5Tokenizer,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    Gemma2Config,
    Gemma2Model,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    MistralConfig,
    PixtralImageProcessor,
    PixtralProcessor,
    PixtralVisionConfig,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

from tests.t2i.tiny import TEMPLATE, WIDTH, WORDS, moved, plain_tokenizer
from tests.t2i.tiny_hunyuan_image import BYTES, qwen2_5_vl
from tests.t2i.tiny_hunyuan_image import text_parts as hunyuan_text_parts

HEADS = {"attention_head_dim": 16, "num_attention_heads": 2}
POOLED = 24  # width of a whole text


def sd3_transformer() -> SD3Transformer2DModel:
    torch.manual_seed(0)
    return moved(
        SD3Transformer2DModel(
            sample_size=16, patch_size=2, in_channels=4, out_channels=4, num_layers=2, joint_attention_dim=WIDTH,
            caption_projection_dim=32, pooled_projection_dim=POOLED, pos_embed_max_size=16, **HEADS,
        )
    )  # fmt: skip


def aura_flow_transformer() -> AuraFlowTransformer2DModel:
    torch.manual_seed(0)
    return moved(
        AuraFlowTransformer2DModel(
            sample_size=8, in_channels=4, out_channels=4, num_mmdit_layers=1, num_single_dit_layers=1,
            joint_attention_dim=WIDTH, caption_projection_dim=32, pos_embed_max_size=64, **HEADS,
        )
    )  # fmt: skip


def chroma_transformer() -> ChromaTransformer2DModel:
    torch.manual_seed(0)
    return moved(
        ChromaTransformer2DModel(
            in_channels=16, num_layers=1, num_single_layers=1, joint_attention_dim=WIDTH, axes_dims_rope=(4, 4, 8),
            approximator_num_channels=64, approximator_hidden_dim=32, approximator_layers=1, **HEADS,
        )
    )  # fmt: skip


def ovis_image_transformer() -> OvisImageTransformer2DModel:
    torch.manual_seed(0)
    return moved(
        OvisImageTransformer2DModel(
            in_channels=16, out_channels=16, num_layers=1, num_single_layers=1, joint_attention_dim=WIDTH,
            axes_dims_rope=(4, 4, 8), **HEADS,
        )
    )  # fmt: skip


def lumina2_transformer() -> Lumina2Transformer2DModel:
    torch.manual_seed(0)
    return moved(
        Lumina2Transformer2DModel(
            sample_size=16, patch_size=2, in_channels=4, hidden_size=32, num_layers=1, num_refiner_layers=1,
            num_attention_heads=2, num_kv_heads=1, multiple_of=16, axes_dim_rope=(4, 4, 8), axes_lens=(300, 16, 16),
            cap_feat_dim=WIDTH,
        )
    )  # fmt: skip


def z_image_transformer() -> ZImageTransformer2DModel:
    torch.manual_seed(0)
    return moved(
        ZImageTransformer2DModel(
            in_channels=4, dim=32, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=WIDTH,
            axes_dims=[4, 4, 8], axes_lens=[256, 16, 16],
        )
    )  # fmt: skip


def qwen_image_transformer() -> QwenImageTransformer2DModel:
    torch.manual_seed(0)
    return moved(
        QwenImageTransformer2DModel(
            in_channels=16, out_channels=4, num_layers=1, joint_attention_dim=WIDTH, axes_dims_rope=(4, 4, 8), **HEADS
        )
    )


def flux2_transformer(guidance: bool) -> Flux2Transformer2DModel:
    torch.manual_seed(0)
    return moved(
        Flux2Transformer2DModel(
            in_channels=16, num_layers=1, num_single_layers=1, joint_attention_dim=WIDTH, timestep_guidance_channels=32,
            axes_dims_rope=(4, 4, 4, 4), guidance_embeds=guidance, **HEADS,
        )
    )  # fmt: skip


def qwen_image_vae() -> AutoencoderKLQwenImage:
    """Pictures are twice as large as latents."""
    torch.manual_seed(1)
    return moved(
        AutoencoderKLQwenImage(
            base_dim=8, z_dim=4, dim_mult=[1, 2], num_res_blocks=1, temperal_downsample=[False],
            latents_mean=[-0.7, 0.1, 0.4, -0.2], latents_std=[2.8, 1.4, 2.3, 0.6],
        )
    )  # fmt: skip


def byte_tokenizer(longest: int = 200) -> ByT5Tokenizer:
    """A tokenizer with a chat template, whose tokens are bytes."""
    tokenizer = ByT5Tokenizer(model_max_length=longest)
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def qwen3_config() -> Qwen3Config:
    return Qwen3Config(
        vocab_size=BYTES, hidden_size=WIDTH, intermediate_size=16, num_hidden_layers=3, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8,
    )  # fmt: skip


def mistral3() -> Mistral3ForConditionalGeneration:
    heads = {"num_attention_heads": 2, "head_dim": 8, "intermediate_size": 16, "num_hidden_layers": 2}
    text = MistralConfig(vocab_size=len(WORDS) + 1, hidden_size=WIDTH, num_key_value_heads=1, **heads)
    vision = PixtralVisionConfig(hidden_size=16, image_size=16, patch_size=4, **heads)
    config = Mistral3Config(vision_config=vision, text_config=text, image_token_index=len(WORDS))
    return moved(Mistral3ForConditionalGeneration(config))


def pixtral_processor() -> PixtralProcessor:
    """Its template shows the texts of a message."""
    texts = "{% for part in message['content'] %}{{ part['text'] }} {% endfor %}"
    template = f"{{% for message in messages %}}<start> {{{{ message['role'] }}}} {texts}<end> {{% endfor %}}"
    tokenizer = plain_tokenizer(200)
    tokenizer.add_tokens("[IMG]")
    return PixtralProcessor(PixtralImageProcessor(), tokenizer, chat_template=template)


def clip_with_projection(width: int, seed: int) -> CLIPTextModelWithProjection:
    torch.manual_seed(seed)
    config = CLIPTextConfig(
        vocab_size=12, pad_token_id=10, eos_token_id=9, hidden_size=width, projection_dim=width, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=16, max_position_embeddings=20,
    )  # fmt: skip
    return moved(CLIPTextModelWithProjection(config))


def text_parts(pipeline: str) -> dict[str, object]:
    """What encodes the prompts of a pipeline."""
    torch.manual_seed(2)
    sizes = {"pad_token_id": 10, "d_model": WIDTH, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    if pipeline == "AuraFlowPipeline":
        umt5 = UMT5EncoderModel(UMT5Config(vocab_size=12, **sizes))
        return {"text_encoder": moved(umt5), "tokenizer": plain_tokenizer(20)}
    if pipeline == "ChromaPipeline":
        t5 = T5EncoderModel(T5Config(vocab_size=12, **sizes))
        return {"text_encoder": moved(t5), "tokenizer": plain_tokenizer(20)}
    if pipeline == "HunyuanImagePipeline":
        return hunyuan_text_parts()
    if pipeline == "StableDiffusion3Pipeline":
        t5 = T5Config(vocab_size=12, **sizes)
        clips = {"text_encoder": clip_with_projection(16, 3), "text_encoder_2": clip_with_projection(8, 4)}
        tokenizers = {name: plain_tokenizer(20) for name in ("tokenizer", "tokenizer_2", "tokenizer_3")}
        return {**clips, "text_encoder_3": moved(T5EncoderModel(t5)), **tokenizers}
    if pipeline in ("Lumina2Pipeline", "SanaPipeline"):
        config = Gemma2Config(
            vocab_size=BYTES, hidden_size=WIDTH, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, head_dim=8,
        )  # fmt: skip
        return {"text_encoder": moved(Gemma2Model(config)), "tokenizer": byte_tokenizer()}
    if pipeline == "QwenImagePipeline":
        return {"text_encoder": qwen2_5_vl(), "tokenizer": byte_tokenizer()}
    if pipeline == "Flux2Pipeline":
        return {"text_encoder": mistral3(), "tokenizer": pixtral_processor()}
    kind = Qwen3Model if pipeline in ("ZImagePipeline", "OvisImagePipeline") else Qwen3ForCausalLM
    return {"text_encoder": moved(kind(qwen3_config())), "tokenizer": byte_tokenizer()}
