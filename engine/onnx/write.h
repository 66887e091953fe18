// A network as ONNX (https://onnx.ai ): opset 13, IR 7. The graph is the tape of one evaluation pass, row by
// row; initializers have torchvision's names and hold the files' logical shapes.
//
//   input   images (N, 3, S, S), as the checkpoint's preprocessing makes them
//   output  logits (N, classes)
//
// The checkpoint's description stands under `fairprune` in metadata_props.
#pragma once

#include <string>

#include "engine/run/checkpoint.h"

namespace fp {

struct OnnxOptions {
    int image_size;
    bool fold_norms = false;  // into the convolutions before them, which then have a bias
};

// The bytes of the file. Exit::data where the graph cannot be written: VGG's mean over maps whose side
// 7 does not divide, or a file of 2 GiB and more.
std::string onnx_bytes(const Network&, const ModelCard&, const OnnxOptions&);

}  // namespace fp
