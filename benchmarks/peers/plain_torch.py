"""The reference model in a plain torch loop written by hand: one JSON line an epoch."""

import argparse
import json
import time
from pathlib import Path

import torch
from idx import images
from torch import nn
from torch.nn import functional as F


class VAE(nn.Module):
    """The published architecture with TensorFlow's "same" padding written out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3, 2), nn.Conv2d(32, 64, 3, 2)
        self.dense, self.mean, self.log_var = nn.Linear(3136, 16), nn.Linear(16, 2), nn.Linear(16, 2)
        self.start = nn.Linear(2, 3136)
        self.up1, self.up2 = nn.ConvTranspose2d(64, 64, 3, 2), nn.ConvTranspose2d(64, 32, 3, 2)
        self.out = nn.ConvTranspose2d(32, 1, 3, padding=1)
        for layer in self.children():
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def loss(self, x: torch.Tensor) -> torch.Tensor:
        """Return the loss per image, ``(B,)``."""
        h = F.relu(self.conv1(F.pad(x, (0, 1, 0, 1))))
        h = F.relu(self.conv2(F.pad(h, (0, 1, 0, 1))))
        h = F.relu(self.dense(h.flatten(1)))
        mean, log_var = self.mean(h), self.log_var(h)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        h = F.relu(self.start(z)).view(-1, 64, 7, 7)
        h = F.relu(self.up1(h)[:, :, :-1, :-1])
        h = F.relu(self.up2(h)[:, :, :-1, :-1])
        nll = F.binary_cross_entropy_with_logits(self.out(h), x, reduction="none").sum((1, 2, 3))
        kl = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum(1)
        return nll + kl


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--loader", action="store_true", help="a DataLoader in place of in-memory tensors")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    train = torch.from_numpy(images(arguments.data, "train"))[:, None].float() / 255
    test = torch.from_numpy(images(arguments.data, "t10k"))[:, None].float() / 255
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(train), batch_size=32, shuffle=True)
    for _ in range(arguments.epochs):
        started = time.perf_counter()
        if arguments.loader:
            batches = (x for (x,) in loader)
        else:
            batches = (train[index] for index in torch.randperm(len(train)).split(32))
        for x in batches:
            optimizer.zero_grad()
            model.loss(x).mean().backward()
            optimizer.step()
        with torch.no_grad():
            val_loss = sum(model.loss(x).sum().item() for x in test.split(500)) / len(test)
        row = {
            "seconds": time.perf_counter() - started,
            "val_loss": val_loss,
            "parameters": sum(p.numel() for p in model.parameters()),
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
