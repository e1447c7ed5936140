"""A small character model in numpy: predicts the next character from the last 16.

    embedding -> two hidden layers of tanh-approximated GELU -> softmax, forward and backward by hand, AdamW.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

WINDOW = 16


class Model:
    """About 1.7 million parameters, 6.7 MB: large enough that an all-reduce of them takes its time."""

    def __init__(self, vocabulary: int, seed: int, embedding: int = 32, hidden: int = 1024) -> None:
        random = np.random.default_rng(seed)

        def matrix(rows: int, columns: int, scale: float) -> Floats:
            return (random.standard_normal((rows, columns)) * scale).astype(np.float32)

        inputs = WINDOW * embedding
        self.embed = matrix(vocabulary, embedding, 0.5)
        self.w1 = matrix(inputs, hidden, (1.0 / inputs) ** 0.5)
        self.b1 = np.zeros(hidden, np.float32)
        self.w2 = matrix(hidden, hidden, (1.0 / hidden) ** 0.5)
        self.b2 = np.zeros(hidden, np.float32)
        self.w3 = matrix(hidden, vocabulary, 0.5 * (1.0 / hidden) ** 0.5)
        self.b3 = np.zeros(vocabulary, np.float32)

    @property
    def params(self) -> list[Floats]:
        """The parameters, always in this order; change them in place."""
        return [self.embed, self.w1, self.b1, self.w2, self.b2, self.w3, self.b3]

    def loss(self, x: npt.NDArray[np.uint8], y: npt.NDArray[np.uint8]) -> float:
        """Mean cross-entropy in nats per character."""
        first, _ = _gelu(self.embed[x].reshape(len(x), -1) @ self.w1 + self.b1)
        second, _ = _gelu(first @ self.w2 + self.b2)
        probabilities = _softmax(second @ self.w3 + self.b3)
        return float(-np.log(probabilities[np.arange(len(y)), y] + 1e-9).mean())

    def gradients(self, x: npt.NDArray[np.uint8], y: npt.NDArray[np.uint8]) -> tuple[float, list[Floats]]:
        """(loss, its gradient for each of `params`)."""
        count = len(x)
        inputs = self.embed[x].reshape(count, -1)
        first, slope1 = _gelu(inputs @ self.w1 + self.b1)
        second, slope2 = _gelu(first @ self.w2 + self.b2)
        probabilities = _softmax(second @ self.w3 + self.b3)
        loss = float(-np.log(probabilities[np.arange(count), y] + 1e-9).mean())

        d3 = probabilities
        d3[np.arange(count), y] -= 1
        d3 /= count
        d2 = (d3 @ self.w3.T) * slope2
        d1 = (d2 @ self.w2.T) * slope1
        d_embed = np.zeros_like(self.embed)
        np.add.at(d_embed, x.ravel(), (d1 @ self.w1.T).reshape(-1, self.embed.shape[1]))
        return loss, [d_embed, inputs.T @ d1, d1.sum(0), first.T @ d2, d2.sum(0), second.T @ d3, d3.sum(0)]


def _gelu(x: Floats) -> tuple[Floats, Floats]:
    """(x * sigmoid(1.702 x), its slope)."""
    gate = 1 / (1 + np.exp(np.clip(-1.702 * x, -30, 30)))
    return x * gate, gate * (1 + np.float32(1.702) * x * (1 - gate))


def _softmax(logits: Floats) -> Floats:
    powers: Floats = np.exp(logits - logits.max(1, keepdims=True))
    powers /= powers.sum(1, keepdims=True)
    return powers


class AdamW:
    """The inner optimizer. Its moments are this member's own business and are never shared."""

    def __init__(self, params: list[Floats], lr: float, warm_up: int = 30, decay: float = 0.05) -> None:
        self._params = params
        self._lr, self._warm_up, self._decay = lr, warm_up, decay
        self._mean = [np.zeros_like(param) for param in params]
        self._square = [np.zeros_like(param) for param in params]
        self._steps = 0

    def step(self, gradients: list[Floats]) -> None:
        self._steps += 1
        lr = np.float32(self._lr * min(1.0, self._steps / self._warm_up))
        for param, gradient, mean, square in zip(self._params, gradients, self._mean, self._square):
            mean += np.float32(0.1) * (gradient - mean)
            square += np.float32(0.01) * (gradient * gradient - square)
            scale = np.sqrt(square * np.float32(1 / (1 - 0.99**self._steps)))
            scale += np.float32(1e-8)
            param *= 1 - lr * np.float32(self._decay if param.ndim == 2 else 0)
            param -= (lr / np.float32(1 - 0.9**self._steps)) * mean / scale
