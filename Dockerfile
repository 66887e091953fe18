# The tools and the library (no GPU code: that needs nvcc; see README.md). We have built it nowhere: no machine with Docker was
# at hand.
#
#   docker build -t fairprune .
#   docker run --rm -v "$PWD/runs:/data/runs" fairprune fp_train --data synth: --epochs 2 --out runs/dense
FROM debian:12-slim AS build
WORKDIR /src
COPY tools/install-deps tools/install-deps
RUN tools/install-deps
COPY . .
RUN cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DFP_CUDA=OFF \
          -DFP_TESTS=OFF -DFP_BENCH=OFF -DFP_EMULATED=OFF -DFP_JOIN=ON \
 && cmake --build build -j "$(nproc)" \
 && cmake --install build --prefix /opt/fairprune --strip

FROM debian:12-slim
RUN apt-get update -q \
 && apt-get install -q -y --no-install-recommends libgomp1 libfmt9 libonnx1 libprotobuf32 libtomlplusplus3 libturbojpeg0 python3 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/fairprune /opt/fairprune
ENV PATH=/opt/fairprune/bin:$PATH
WORKDIR /data
CMD ["fp_train", "--help"]
