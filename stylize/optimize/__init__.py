"""Style transfer by optimization: a map is changed step by step until a network sees its content and the other's style.

The baseline beside the feed-forward translator. Arguments can be checked with `settings` alone, without PyTorch.
"""
