// The table of oneDNN's convolutions and linear layers: a shared object of its own, which is loaded when `--device onednn`
// is asked for and not before (load/). Everything else is the host's own.
#include "kernels/onednn/load/entry.h"

namespace fp::onednn {
extern const Conv conv;
extern const Linear linear;
}  // namespace fp::onednn

const fp::Kernels* fairprune_onednn_table(const fp::Kernels* own) {
    using fp::Kernels;
    static const Kernels table{.name = "onednn",
                               .activation = own->activation,
                               .parameter = own->parameter,
                               .block = own->block,
                               .image_block = own->image_block,
                               .filter = own->filter,
                               .memory = own->memory,
                               .streams = own->streams,
                               .conv = fp::onednn::conv,
                               .linear = fp::onednn::linear,
                               .batchnorm = own->batchnorm,
                               .relu = own->relu,
                               .add = own->add,
                               .maxpool = own->maxpool,
                               .avgpool = own->avgpool,
                               .dropout = own->dropout,
                               .loss = own->loss,
                               .image = own->image,
                               .optimizer = own->optimizer,
                               .snnl = own->snnl};
    return &table;
}
