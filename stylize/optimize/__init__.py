"""Style transfer by optimization: a spectrogram is changed until a network sees its content and the other's style.

The baseline beside the feed-forward translator. Options can be checked without PyTorch.
"""
