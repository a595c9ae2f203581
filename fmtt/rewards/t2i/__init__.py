"""Rewards of pictures and prompts by published networks; needs the extra ``t2i``. One network a file."""
