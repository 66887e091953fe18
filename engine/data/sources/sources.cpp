#include "engine/data/sources/sources.h"

#include <array>

namespace fp {

namespace sources {
extern const Source synth, csv, isic2019, fitzpatrick17k, folder;
}

std::span<const Source* const> Source::all() {
    using namespace sources;
    static constexpr std::array kAll{&synth, &csv, &isic2019, &fitzpatrick17k, &folder};
    return kAll;
}

}  // namespace fp
