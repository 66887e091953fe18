#include "engine/report/title.h"

#include <filesystem>

namespace fp {

std::string data_words(const std::string& spec) {
    const size_t colon = spec.find(':');
    if (colon == spec.npos) return spec;
    const std::string kind = spec.substr(0, colon);
    if (kind == "synth") return "generated images";
    if (kind == "isic2019") return "ISIC 2019";
    if (kind == "fitzpatrick17k") return "Fitzpatrick17k";
    std::string head = spec.substr(colon + 1);
    for (size_t comma; (comma = head.rfind(',')) != head.npos && head.find('=', comma) != head.npos;)
        head.resize(comma);  // a key
    while (head.size() > 1 && head.ends_with('/')) head.pop_back();
    const std::string name = std::filesystem::path(head).filename().string();
    return kind == "folder" ? "the folder " + name : name;
}

}  // namespace fp
