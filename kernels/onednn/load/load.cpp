// Opens oneDNN's kernels when they are asked for.
#include "kernels/error.h"
#include "kernels/module.h"
#include "kernels/onednn/load/entry.h"

namespace fp::cpu {
const Kernels* find();
}

namespace fp::onednn {

const Kernels* find() {
    static const auto table = Module("onednn").function<decltype(&fairprune_onednn_table)>("fairprune_onednn_table");
    return table(cpu::find());
}

}  // namespace fp::onednn
