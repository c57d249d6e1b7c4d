"""Window and filter sizes of the paper and of the published evaluation."""

PAPER_WINDOWS = (32, 64, 128, 256, 512, 1024, 2048)  # of the mel loss: paper, section 3.4
PAPER_MELS = (5, 10, 20, 40, 80, 160, 320)
EVALUATION_MELS = (150, 80)  # of the published evaluation, for each of STFT_WINDOWS
STFT_WINDOWS = (2048, 512)
