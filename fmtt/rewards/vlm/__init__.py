"""Rewards from vision-language models, Qwen2.5-VL and Qwen3-VL; they need the extra ``t2i``."""
