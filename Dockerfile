# ofakit as an image:
#
#     docker build -t ofakit .
#     mkdir -p work_dir
#     docker run --rm --user "$(id -u):$(id -g)" -v "$PWD/work_dir:/ofakit/work_dir" ofakit finetune \
#         --conf configs/quickstart.json
#
# PyTorch is the build that pip brings on Linux, which works with NVIDIA GPUs (docker run --gpus all) and without. Another
# one, such as the much smaller one for CPUs, comes from the index that https://pytorch.org/get-started names for it:
#
#     docker build -t ofakit --build-arg TORCH_INDEX=ADDRESS .
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG TORCH_INDEX=""
ARG EXTRAS="serve"
RUN python -m venv /venv
RUN PIP_INDEX_URL="$TORCH_INDEX" /venv/bin/pip install --no-cache-dir torch torchvision
WORKDIR /source
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY plugins plugins
RUN /venv/bin/pip install --no-cache-dir ".[$EXTRAS]"

FROM python:${PYTHON}-slim
COPY --from=build /venv /venv
COPY configs /ofakit/configs
# Any user may run it: what libraries keep goes where all may write.
ENV PATH=/venv/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1
WORKDIR /ofakit
USER 1000:1000
ENTRYPOINT ["ofakit"]
CMD ["--help"]
