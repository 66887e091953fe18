#include "tools/eval_input.h"

#include "engine/eval/predictions_file.h"
#include "engine/io/columns.h"
#include "engine/io/files.h"
#include "tools/training.h"

namespace fp {
namespace {

// Before the work: a group or a class that is none.
void check_names(const AttributeColumns& columns,
                 const std::vector<std::string>& classes,
                 const EvalFlags& f,
                 const Options& options) {
    std::vector<std::string> attributes = f.data.attributes;
    if (!f.group_offsets.empty()) attributes.push_back(f.group_offsets);
    check_attributes(columns, attributes, options);
    operating_point(classes, f.figures.positive, f.figures.specificity);
}

void say_part(const Judged& part, const std::string& file, const EvalFlags& f, const Options& options) {
    for (const std::string& note : part.notes) options.say("data: " + printable(note, 500));
    options.say((f.compare.empty() ? "" : printable(file) + ": ") + judged_text(part));
}

Opened open_file(const std::string& file, const EvalFlags& f, const Options& options) {
    const Table table = read_csv(file);
    Opened out{.file = file, .all = predictions_of(table, f.data.dataset.unknown)};
    JudgedSamples rows = judged_rows(out.all, f.split);
    if (find_column(table.header, "image") < 0)
        rows.judged.notes.push_back(file + " has no column image: its rows are numbered");
    for (const std::string& note : notes_of_unknown_words(table, f.data.dataset.unknown))
        rows.judged.notes.push_back(note);
    say_part(rows.judged, file, f, options);
    out.part = rows.judged;
    out.samples = rows.samples;
    const Predictions judged = out.rows();
    AttributeColumns columns = attribute_columns(judged);
    columns.source = file;
    check_names(columns, judged.classes, f, options);
    return out;
}

Opened open_model(const std::string& file, const EvalFlags& f, const Options& options) {
    Opened out{.file = file, .model = load_model(file, use_device(f.compute, options))};
    DataOptions to_open = f.data;
    to_open.dataset.whole_if_unseen = !needs_validation(f);
    out.data = open_images_of(*out.model, file, to_open);
    JudgedSamples part = judged_samples(out.data->set, f.split);
    part.judged.of_model = true;
    say_part(part.judged, file, f, options);
    check_names(attribute_columns(out.data->set, part.samples), out.data->set.classes, f, options);
    out.part = part.judged;
    out.samples = part.samples;
    return out;
}

EvalInput input_of_file(const Opened& opened, const EvalFlags& f) {
    EvalInput out{.judged = opened.rows(), .part = opened.part};
    out.test = test_split(out.judged);
    out.model = predictions_hash(out.judged);
    if (needs_validation(f)) out.validation = of_split(opened.all, "val");
    return out;
}

EvalInput input_of_model(const Opened& opened, const EvalFlags& f, const Options& options, const Comm* ranks) {
    const LoadedModel& model = *opened.model;
    const ImageData& data = *opened.data;
    const Observer observer = in_step(on_stderr(options.quiet()), options.ranks());
    Session session(*model.network);
    const auto predict_on = [&](const std::vector<int64_t>& samples, const std::string& split) {
        Predictions p = predict({session,
                                 model.card.preprocessing,
                                 data,
                                 samples,
                                 {.batch_size = f.data.batch_size,
                                  .skip_bad = f.skip_bad,
                                  .progress = observer.steps({.what = "predicting " + split}),
                                  .ranks = ranks}});
        FP_REQUIRE(p.size() > 0, Exit::data, data.set.name, ": no image of the split `", split, "` can be read");
        return p;
    };
    EvalInput out{.judged = predict_on(opened.samples, opened.part.split),
                  .stored = model.card.thresholds,
                  .data = data.set.name,
                  .split_hash = split_hash(data.set),
                  .part = opened.part,
                  .test = test_split(data.set, opened.samples),
                  .model = weights_hash(*model.network),
                  .used = &model.network->kernels()};
    if (needs_validation(f)) out.validation = predict_on(judged_samples(data.set, "val").samples, "val");
    out.skipped = skipped_of(data);
    out.gallery = gallery_of(out.judged, data, f.data.attributes, f.gallery);
    say_skipped(data, options);
    return out;
}

}  // namespace

Predictions Opened::rows() const {
    if (!model) return rows_of(all, samples);
    Predictions out = no_predictions(*data);
    const std::vector<float> none(out.classes.size());
    for (const int64_t sample : samples) add_prediction(out, *data, sample, none.data());
    return out;
}

Opened opened_file(const std::string& file, bool model, const EvalFlags& f, const Options& options) {
    return model ? open_model(file, f, options) : open_file(file, f, options);
}

EvalInput input_of(const Opened& opened, const EvalFlags& f, const Options& options, const Comm* ranks) {
    return opened.model ? input_of_model(opened, f, options, ranks) : input_of_file(opened, f);
}

}  // namespace fp
