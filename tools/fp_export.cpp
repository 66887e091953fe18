// fp_export: a checkpoint as a file for other programs.
#include <filesystem>
#include <iostream>

#include "engine/io/files.h"
#include "engine/onnx/write.h"
#include "engine/run/torch_module.h"
#include "tools/inputs.h"
#include "tools/tools_json.h"

namespace fp {
namespace {

struct ExportFlags {
    std::string checkpoint, safetensors, onnx, torch;
    std::optional<int> image_size;
    bool fold_bn = false;
};

void declare(Options& o, ExportFlags& f) {
    o.add("checkpoint FILE", f.checkpoint, "the model");
    o.require("checkpoint");
    o.add("torch DIR", f.torch,
          "write model.py, which builds the network, pruned or not, with PyTorch alone, and its weights, "
          "model.safetensors");
    o.add("safetensors FILE", f.safetensors,
          "write the weights alone, under torchvision's names: no classes, no provenance, nothing of the data");
    o.add("onnx FILE", f.onnx, "write the graph: opset 13, images (N,3,S,S) to logits");
    o.add("fold-bn", f.fold_bn, "ONNX: fold batch norms into the convolutions");
    o.add("image-size N", f.image_size, "ONNX: side of the images in pixels (default: as the model was trained)",
          {.low = 1, .high = 16384});
    o.needs({"fold-bn", "image-size"}, "without --onnx", [&f] { return !f.onnx.empty(); });
}

int run(const ExportFlags& f, const Options& o) {
    FP_REQUIRE(!f.safetensors.empty() || !f.onnx.empty() || !f.torch.empty(), Exit::usage,
               "--onnx FILE, --torch DIR or --safetensors FILE is missing");
    const LoadedModel model = load_model(f.checkpoint, kernels(Backend::cpu));
    std::vector<WrittenFile> written;
    const auto report = [&](const char* format, const char* says, const std::string& file) {
        const auto bytes = std::filesystem::file_size(file);
        written.push_back({format, file, bytes});
        if (!o.json() && !o.quiet()) std::cout << printable(file) << ": " << says << ", " << bytes << " bytes\n";
    };
    if (!f.safetensors.empty()) {
        TensorFile weights = to_file(*model.network, {});
        weights.metadata = {{"format", "pt"}};
        write_safetensors(f.safetensors, weights);
        report("safetensors", "the weights alone", f.safetensors);
    }
    if (!f.torch.empty()) {
        const TorchFolder folder = write_torch_folder(f.torch, *model.network, model.card);
        report("torch", "a module of PyTorch", folder.module.string());
        report("torch_weights", "its weights", folder.weights.string());
    }
    if (!f.onnx.empty()) {
        const int size = f.image_size.value_or(model.card.preprocessing.image_size);
        write_file(f.onnx, onnx_bytes(*model.network, model.card, {.image_size = size, .fold_norms = f.fold_bn}));
        report("onnx", "the ONNX graph", f.onnx);
    }
    if (o.json()) std::cout << json_text(written);
    return 0;
}

}  // namespace
}  // namespace fp

int main(int argc, char** argv) {
    fp::ExportFlags flags;
    return fp::run_tool(
        argc, argv, "Writes a checkpoint, pruned or not, as a file for other programs.",
        [&](fp::Options& o) { fp::declare(o, flags); },
        [&](const fp::Options& o) { return fp::on_first(o, [&] { return fp::run(flags, o); }); });
}
