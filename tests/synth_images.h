#pragma once

#include <memory>
#include <string>

#include "engine/data/images.h"
#include "engine/eval/predict.h"

namespace fp::testing {

inline ImageData synth_images(const std::string& spec, int size) {
    const auto set = std::make_shared<const Dataset>(open_dataset(spec));
    const auto images = std::make_shared<DatasetImages>(*set, ImageOptions{.image_size = size});
    return {.set = *set, .source = [set, images](int64_t sample, const View& view, int side, uint8_t* rgb) {
                images->read(sample, view, side, rgb);
            }};
}

}  // namespace fp::testing
