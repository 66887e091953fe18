// fp_export: a checkpoint as a file for other programs.
#include <filesystem>
#include <iostream>

#include "engine/io/files.h"
#include "engine/onnx/write.h"
#include "tools/inputs.h"
#include "tools/tools_json.h"

namespace {

struct Settings {
    std::string checkpoint, safetensors, onnx;
    std::optional<int> image_size;
    bool fold_bn = false;
};

int run(const Settings& s, const fp::Options& options) {
    FP_REQUIRE(!s.safetensors.empty() || !s.onnx.empty(), fp::Exit::usage,
               "--onnx FILE or --safetensors FILE is missing");
    FP_REQUIRE(!s.onnx.empty() || (!s.fold_bn && !s.image_size), fp::Exit::usage,
               "--fold-bn and --image-size are of --onnx");
    const fp::LoadedModel model = fp::load_model(s.checkpoint, fp::kernels(fp::Backend::cpu));
    std::vector<fp::WrittenFile> written;
    const auto report = [&](const char* format, const std::string& file) {
        const auto bytes = std::filesystem::file_size(file);
        written.push_back({format, file, bytes});
        if (!options.json() && !options.quiet())
            std::cout << fp::printable(file) << ": " << bytes << " bytes of " << format << "\n";
    };
    if (!s.safetensors.empty()) {
        fp::write_safetensors(s.safetensors, fp::to_file(*model.network, model.card));
        report("safetensors", s.safetensors);
    }
    if (!s.onnx.empty()) {
        const fp::OnnxOptions onnx{.image_size = s.image_size.value_or(model.card.preprocessing.image_size),
                                   .fold_norms = s.fold_bn};
        fp::write_file(s.onnx, fp::onnx_bytes(*model.network, model.card, onnx));
        report("onnx", s.onnx);
    }
    if (options.json()) std::cout << json_text(written);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Settings s;
    return fp::run_tool(
        argc, argv, "Writes a checkpoint, pruned or not, as a file for other programs.",
        [&](fp::Options& o) {
            o.add("checkpoint FILE", s.checkpoint, "the model");
            o.require("checkpoint");
            o.add("safetensors FILE", s.safetensors,
                  "write weights under torchvision's names, as safetensors.torch.load_file reads them");
            o.add("onnx FILE", s.onnx, "write the graph: opset 13, images (N,3,S,S) to logits");
            o.add("fold-bn", s.fold_bn, "ONNX: fold batch norms into the convolutions");
            o.add("image-size N", s.image_size,
                  "ONNX: side of the images in pixels (default: as the model was trained)", {.low = 1, .high = 16384});
        },
        [&](const fp::Options& o) { return run(s, o); });
}
