#include "engine/run/torch_module.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/io/fields.h"
#include "engine/io/json.h"

namespace fp {
namespace {

// JSON of strings, lists and objects of numbers is Python too.
std::string literal(const auto& value) {
    return json_document([&](nlohmann::ordered_json& document) { write(document, value); });
}

// Output channels by layer, in the network's order; of the layer that makes the logits there are as many as classes.
std::string widths_of(const Network& network) {
    return json_document([&](nlohmann::ordered_json& document) {
        make_object(document);
        for (const Param& p : network.params.all()) {
            if (p.kind != Param::Kind::filter && p.kind != Param::Kind::linear) continue;
            const std::string layer = p.name.substr(0, p.name.rfind('.'));
            if (layer != network.architecture.head) write(add_member(document, layer), p.shape.k);
        }
    });
}

void fill(std::string& text, const std::string& slot, std::string_view with) {
    const size_t at = text.find(slot);
    FP_CHECK(at != std::string::npos, "model.py has no ", slot);
    text.replace(at, slot.size(), with);
}

}  // namespace

std::string torch_module(const Network& network, const ModelCard& card) {
    const Preprocessing& images = card.preprocessing;
    std::string out(kTorchModel);
    fill(out, "{summary}",
         fmt::format("{} of {} classes with {} parameters{}.", network.spec.arch, network.spec.classes,
                     network.params.parameters(), network.spec.widths.empty() ? "" : ", pruned"));
    fill(out, "{network}", network.architecture.torch);
    fill(out, "{constants}",
         fmt::format("ARCHITECTURE, STEM = \"{}\", \"{}\"\nCLASSES = {}IMAGE_SIZE = {}\nMEAN, STD = [{}], [{}]\n"
                     "# The output channels of each layer.\nWIDTHS = {}",
                     network.spec.arch, network.spec.stem, literal(card.classes), images.image_size,
                     fmt::join(images.mean, ", "), fmt::join(images.std, ", "), widths_of(network)));
    return out;
}

TorchFolder write_torch_folder(const std::filesystem::path& folder, const Network& network, const ModelCard& card) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) fail_system(folder, "cannot be made", error.value(), Exit::data);
    const TorchFolder out{.module = folder / "model.py", .weights = folder / "model.safetensors"};
    write_safetensors(out.weights, to_file(network, card));
    write_file(out.module, torch_module(network, card));
    return out;
}

}  // namespace fp
