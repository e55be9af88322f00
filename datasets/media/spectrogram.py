"""From sound to a mel spectrogram: short-time power, mel bands, decibels, standardising."""

import math

import numpy as np
import scipy  # its parts load when they are first used: scipy.signal takes half a second

__all__ = ["log_mel", "mel_filterbank", "mel_spectrogram", "standardise", "stft_power"]

# Slaney's mel scale: linear up to 1 kHz, then 27 steps for each factor of 6.4 (Auditory Toolbox, 1998).
_HZ_PER_MEL = 200.0 / 3.0
_LOG_FROM_HZ = 1000.0
_LOG_STEP = math.log(6.4) / 27.0


def stft_power(x: np.ndarray, n_fft: int, hop: int, center: bool = True) -> np.ndarray:
    """Return the short-time power spectrum.

        P[k, t] = | sum_i w[i] x[t * hop + i] exp(-2 pi j k i / n_fft) |^2      w[i] = (1 - cos(2 pi i / n_fft)) / 2

    w is the periodic Hann window. `center=True` puts n_fft // 2 zeros at both ends first, so that frame t is centred on
    sample t * hop. The convention, scale included, is that of librosa 0.11's `stft` (`pad_mode="constant"`), squared.

    x: float32 or float64 [..., n]. Returns the same dtype, [..., n_fft // 2 + 1, frames] with
    frames = 1 + (n - n_fft) // hop, where n counts the zeros.
    Raises ValueError if `n_fft` or `hop` is below 1, or if x is shorter than a frame.
    """
    if n_fft < 1 or hop < 1:
        raise ValueError(f"n_fft, hop: expected at least 1, found {n_fft} and {hop}")
    if center:
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(n_fft // 2, n_fft // 2)])
    if x.shape[-1] < n_fft:
        raise ValueError(f"x: expected at least n_fft = {n_fft} samples, found {x.shape[-1]}")
    window = _hann(n_fft).astype(x.dtype)
    frames = np.lib.stride_tricks.sliding_window_view(x, n_fft, axis=-1)[..., ::hop, :]
    spectrum = scipy.fft.rfft(frames * window, axis=-1)
    return np.swapaxes(spectrum.real**2 + spectrum.imag**2, -1, -2)


def mel_filterbank(
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    f_min: float = 0.0,
    f_max: float | None = None,
    scale: str = "slaney",
    norm: str | None = "slaney",
) -> np.ndarray:
    """Return triangular filters whose corners are equally spaced on a mel scale.

        F[m, k] = max(0, min((f_k - c_m) / (c_{m+1} - c_m), (c_{m+2} - f_k) / (c_{m+2} - c_{m+1})))

    with f_k = k * sample_rate / n_fft in Hz and c the n_mels + 2 corners from `f_min` to `f_max` (default: half the
    sample rate). `scale`: "slaney" (linear below 1 kHz) or "htk" (2595 log10(1 + f / 700)). `norm`: "slaney" divides
    each filter by half its width in Hz, so that all have the same area; None leaves their peaks at 1.
    The defaults, and the values, are those of librosa 0.11's `filters.mel`.

    Returns float64 [n_mels, n_fft // 2 + 1].
    Raises ValueError for another scale or norm, a band outside [0, sample_rate / 2], and a filter that falls between
    two frequencies of the transform and would always give 0.
    """
    f_max = sample_rate / 2 if f_max is None else f_max
    if scale not in ("slaney", "htk"):
        raise ValueError(f"scale: expected 'slaney' or 'htk', found {scale!r}")
    if norm not in ("slaney", None):
        raise ValueError(f"norm: expected 'slaney' or None, found {norm!r}")
    if not 0 <= f_min < f_max <= sample_rate / 2:
        raise ValueError(f"f_min, f_max: expected 0 <= f_min < f_max <= {sample_rate / 2} Hz, found {f_min}, {f_max}")
    if n_mels < 1:
        raise ValueError(f"n_mels: expected at least 1, found {n_mels}")

    corners = _to_hz(np.linspace(_to_mel(f_min, scale), _to_mel(f_max, scale), n_mels + 2), scale)
    frequencies = np.arange(n_fft // 2 + 1) * (sample_rate / n_fft)
    left, middle, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising = (frequencies - left) / (middle - left)
    falling = (right - frequencies) / (right - middle)
    filters = np.maximum(0.0, np.minimum(rising, falling))
    empty = np.flatnonzero(filters.sum(axis=1) == 0)
    if len(empty):
        raise ValueError(
            f"n_mels: expected few enough bands that each holds a frequency of the transform; found {n_mels}, of which "
            f"{len(empty)} (the first is {empty[0]}) hold none with n_fft {n_fft} at {sample_rate} Hz"
        )
    return filters * (2.0 / (right - left)) if norm == "slaney" else filters


def mel_spectrogram(
    x: np.ndarray,
    sample_rate: int,
    n_fft: int = 2048,
    hop: int = 512,
    n_mels: int = 128,
    f_min: float = 0.0,
    f_max: float | None = None,
    scale: str = "slaney",
    norm: str | None = "slaney",
    center: bool = True,
) -> np.ndarray:
    """Return the power in mel bands over time, `mel_filterbank(...) @ stft_power(...)`.

    Defaults and values are those of librosa 0.11's `feature.melspectrogram`: periodic Hann window, power 2, centred
    frames with zero padding, Slaney's scale and norm.

    x: float32 or float64 [..., n] at `sample_rate` Hz. Returns the same dtype, [..., n_mels, frames], low bands first.
    Raises ValueError as `mel_filterbank` and `stft_power` do.
    """
    filters = mel_filterbank(sample_rate, n_fft, n_mels, f_min, f_max, scale, norm)
    return filters.astype(x.dtype) @ stft_power(x, n_fft, hop, center)


def log_mel(power: np.ndarray, floor: float = 1e-10, top_db: float | None = None) -> np.ndarray:
    """Return power in decibels, 10 log10(max(power, floor)).

    top_db: if given, nothing of a spectrogram (the last two axes) lies further than this below its own maximum.
    power: float [..., n_mels, frames]. Returns the same shape and dtype. As librosa 0.11's `power_to_db` with ref 1.
    Raises ValueError unless `floor` is positive.
    """
    if not floor > 0:
        raise ValueError(f"floor: expected a positive power, found {floor}")
    db = 10.0 * np.log10(np.maximum(power, power.dtype.type(floor)))
    return db if top_db is None else np.maximum(db, db.max(axis=(-2, -1), keepdims=True) - power.dtype.type(top_db))


def standardise(x: np.ndarray, axis: tuple[int, ...] = (-2, -1)) -> np.ndarray:
    """Return (x - mean) / standard deviation over `axis`; where nothing varies, 0.

    x: float of any shape. Returns the same shape and dtype.
    """
    centred = x - x.mean(axis=axis, keepdims=True)
    deviation = np.sqrt(np.mean(np.square(centred), axis=axis, keepdims=True))
    # Of a constant a rounding error remains, which must not be blown up to unit variance.
    varies = deviation > 1e-6 * np.abs(x).max(axis=axis, keepdims=True)
    return np.divide(centred, deviation, out=np.zeros_like(centred), where=varies)


def _hann(n: int) -> np.ndarray:
    """Return the periodic Hann window, float64 [n], to the bit as `scipy.signal.get_window("hann", n)` has it."""
    return 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, n + 1)[:-1]) if n > 1 else np.ones(n)


def _to_mel(f: float, scale: str) -> float:
    if scale == "htk":
        return 2595.0 * math.log10(1.0 + f / 700.0)
    if f < _LOG_FROM_HZ:
        return f / _HZ_PER_MEL
    return _LOG_FROM_HZ / _HZ_PER_MEL + math.log(f / _LOG_FROM_HZ) / _LOG_STEP


def _to_hz(mel: np.ndarray, scale: str) -> np.ndarray:
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    log_from = _LOG_FROM_HZ / _HZ_PER_MEL
    return np.where(mel < log_from, mel * _HZ_PER_MEL, _LOG_FROM_HZ * np.exp(_LOG_STEP * (mel - log_from)))
