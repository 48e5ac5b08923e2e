"""Trains a small network on as many processes as torchrun starts, one for each card. `torchrun --standalone --nproc-per-node 2 train.py`."""

import argparse
import json
import os

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset


def data(count):
    """Points in the plane and on which of two spirals each lies."""
    generator = torch.Generator().manual_seed(0)  # the same in every process
    label = torch.arange(count) % 2
    along = 0.25 + 2.5 * torch.rand(count, generator=generator)
    angle = 2 * along + 3.1416 * label
    points = torch.stack([along * torch.cos(angle), along * torch.sin(angle)], 1)
    return TensorDataset(points + 0.05 * torch.randn(count, 2, generator=generator), label)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--points", type=int, default=8192)
    asked = parser.parse_args()

    # torchrun says which process this is. Each takes the card of its own number.
    local = int(os.environ["LOCAL_RANK"])
    cards = torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"])
    device = torch.device("cuda", local) if cards else torch.device("cpu")
    if cards:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cards else "gloo")
    rank, size = dist.get_rank(), dist.get_world_size()

    torch.manual_seed(rank)  # on purpose different: DDP gives everybody the weights of process 0
    model = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2)).to(device)
    model = DistributedDataParallel(model, device_ids=[local] if cards else None)
    held = data(asked.points)
    sampler = DistributedSampler(held, seed=0)  # to each process another part of the data
    loader = DataLoader(held, batch_size=128, sampler=sampler)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses, seen = [], 0
    for epoch in range(asked.epochs):
        sampler.set_epoch(epoch)  # shuffles anew, the same way in each process
        total = torch.zeros(2, device=device)
        for points, label in loader:
            loss = nn.functional.cross_entropy(model(points.to(device)), label.to(device))
            optimiser.zero_grad()
            loss.backward()  # here the processes exchange and average their gradients
            optimiser.step()
            total += torch.stack([loss.detach() * len(label), torch.tensor(float(len(label)), device=device)])
            seen += len(label)
        dist.all_reduce(total)  # a number of everybody's
        losses.append((total[0] / total[1]).item())

    weights = torch.cat([one.detach().flatten() for one in model.parameters()])
    others = [torch.empty_like(weights) for _ in range(size)]
    dist.all_gather(others, weights)
    if rank == 0:
        with torch.no_grad():
            points, label = held.tensors
            right = (model.module(points.to(device)).argmax(1).cpu() == label).float().mean().item()
        apart = max((other - weights).abs().max().item() for other in others)
        told = {"backend": dist.get_backend(), "processes": size, "device": str(device), "losses": losses, "accuracy": right, "apart": apart, "seen": seen}
        with open("result.json", "w") as file:
            json.dump(told, file)
    dist.destroy_process_group()


main()
