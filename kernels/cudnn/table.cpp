// The table of the vendor's kernels: a shared object of its own, which is loaded when `--device cudnn` is asked
// for and not before (kernels/cudnn/load/).
#include <cuda_runtime.h>

#include <cstdlib>
#include <optional>
#include <string_view>

#include "kernels/cudnn/libraries.h"
#include "kernels/cudnn/load/entry.h"

namespace fp::cudnn {

extern const Conv conv;
extern const Linear linear;
extern const BatchNorm batchnorm;
extern const MaxPool maxpool;
extern const AvgPool avgpool;

namespace {

Libraries& opened() {
    static Libraries all = [] {
        Libraries l;
        check(cudnnCreate(&l.cudnn), "start");
        check(cublasCreate(&l.cublas), "start");
        check(cudaMalloc(&l.cublas_workspace, Libraries::kCublasWorkspace), "workspace of products");
        const char* wanted = std::getenv("FP_CUDNN_DETERMINISTIC");
        l.deterministic = wanted && std::string_view(wanted) == "1";
        return l;
    }();
    return all;
}

}  // namespace

const Libraries& libraries() { return opened(); }

namespace {
std::string& plans() {
    static std::string all;
    return all;
}
}  // namespace
void note_plan(const std::string& line) { plans() += line + "\n"; }

}  // namespace fp::cudnn

const fp::Kernels* fairprune_cudnn_table(const fp::Kernels* own, fp::Precision precision) {
    using namespace fp;
    cudnn::Libraries& l = cudnn::opened();
    l.own = own;
    l.precision = precision;
    static std::optional<Kernels> tables[3];
    std::optional<Kernels>& table = tables[int(precision)];
    if (!table)
        table.emplace(Kernels{.name = "cudnn",
                              .activation = own->activation,
                              .parameter = own->parameter,
                              .block = own->block,
                              .image_block = own->image_block,
                              .filter = own->filter,
                              .memory = own->memory,
                              .streams = own->streams,
                              .graph = own->graph,
                              .ranges = own->ranges,
                              .conv = cudnn::conv,
                              .linear = cudnn::linear,
                              .batchnorm = cudnn::batchnorm,
                              .relu = own->relu,
                              .add = own->add,
                              .maxpool = cudnn::maxpool,
                              .avgpool = cudnn::avgpool,
                              .dropout = own->dropout,
                              .loss = own->loss,
                              .image = own->image,
                              .optimizer = own->optimizer,
                              .snnl = own->snnl});
    return &*table;
}

const char* fairprune_cudnn_plans() { return fp::cudnn::plans().c_str(); }
