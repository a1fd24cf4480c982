#include "shim.h"

#include "guard.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

#include <opencv2/dnn.hpp>
#include <opencv2/objdetect.hpp>
#include <turbojpeg.h>

namespace {

// model is what face_close ends.
struct model {
    virtual ~model() {}
};

struct cascade : model {
    cv::CascadeClassifier classifier;
};

struct network : model {
    cv::dnn::Net net;
    std::vector<cv::String> names;
    cv::Mat blob; // kept: a new one for each frame is megabytes that the kernel clears
    std::vector<cv::Mat> mats;
    std::vector<face_output> outputs;
};

} // namespace

char *face_load_cascade(const char *path, void **out) {
    return guard([&] {
        std::unique_ptr<cascade> c(new cascade());
        if (!c->classifier.load(path)) {
            CV_Error(cv::Error::StsParseError, "the file holds no cascade");
        }
        *out = static_cast<model *>(c.release());
    });
}

char *face_load_network(const void *onnx, size_t size, void **out) {
    return guard([&] {
        std::unique_ptr<network> n(new network());
        n->net = cv::dnn::readNetFromONNX(static_cast<const char *>(onnx), size);
        n->net.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
        n->net.setPreferableTarget(cv::dnn::DNN_TARGET_CPU);
        n->names = n->net.getUnconnectedOutLayersNames();
        *out = static_cast<model *>(n.release());
    });
}

void face_close(void *m) {
    delete static_cast<model *>(m);
}

char *face_run(void *m, void *bgr, int width, int height, int swap_to_rgb, face_output **outputs, int *count) {
    return guard([&] {
        network &n = *static_cast<network *>(static_cast<model *>(m));
        cv::Mat canvas = *static_cast<cv::Mat *>(bgr);
        if (canvas.rows != height || canvas.cols != width) {
            cv::copyMakeBorder(canvas, canvas, 0, height - canvas.rows, 0, width - canvas.cols, cv::BORDER_CONSTANT);
        }
        cv::dnn::blobFromImage(canvas, n.blob, 1, cv::Size(), cv::Scalar(), swap_to_rgb != 0);
        n.net.setInput(n.blob);
        n.net.forward(n.mats, n.names);
        n.outputs.clear();
        for (size_t i = 0; i < n.mats.size(); i++) {
            CV_Assert(n.mats[i].type() == CV_32F && n.mats[i].isContinuous());
            n.outputs.push_back({n.names[i].c_str(), n.mats[i].ptr<float>(), n.mats[i].total()});
        }
        *outputs = n.outputs.data();
        *count = static_cast<int>(n.outputs.size());
    });
}

char *face_detect(void *m, void *grey, double scale_factor, int min_neighbors, int min_face,
                  face_box **boxes, int *count) {
    return guard([&] {
        std::vector<cv::Rect> found;
        static_cast<cascade *>(static_cast<model *>(m))
            ->classifier.detectMultiScale(*static_cast<cv::Mat *>(grey), found, scale_factor, min_neighbors, 0,
                               cv::Size(min_face, min_face));
        if (found.empty()) {
            return;
        }
        *boxes = static_cast<face_box *>(malloc(found.size() * sizeof(face_box)));
        if (*boxes == NULL) {
            throw std::bad_alloc();
        }
        for (size_t i = 0; i < found.size(); i++) {
            (*boxes)[i] = {found[i].x, found[i].y, found[i].width, found[i].height};
        }
        *count = static_cast<int>(found.size());
    });
}

char *face_decode_jpeg(const void *data, size_t size, int width, int height, int colour, int eighths, void *mat,
                       char **fault) {
    return guard([&] {
        std::unique_ptr<void, int (*)(tjhandle)> jpeg(tjInitDecompress(), tjDestroy);
        if (!jpeg) {
            throw std::runtime_error(tjGetErrorStr2(NULL));
        }
        const unsigned char *bytes = static_cast<const unsigned char *>(data);
        int real_width = 0, real_height = 0, sampling, colours;
        // It also fails for sampling factors without a name, with which it can decode.
        tjDecompressHeader3(jpeg.get(), bytes, size, &real_width, &real_height, &sampling, &colours);
        if (real_width > 0 && (real_width != width || real_height != height)) {
            *fault = strdup("it has two sizes");
            return;
        }
        const tjscalingfactor scale = {eighths, 8};
        cv::Mat &m = *static_cast<cv::Mat *>(mat);
        m.create(TJSCALED(height, scale), TJSCALED(width, scale), colour ? CV_8UC3 : CV_8UC1);
        if (tjDecompress2(jpeg.get(), bytes, size, m.data, m.cols, static_cast<int>(m.step), m.rows,
                          colour ? TJPF_BGR : TJPF_GRAY, TJFLAG_STOPONWARNING) == 0) {
            return;
        }
        const char *text = tjGetErrorStr2(jpeg.get());
        if (strstr(text, "Insufficient memory")) {
            throw std::runtime_error(text);
        }
        *fault = strdup(text);
    });
}

char *face_set_threads(int threads) {
    return guard([&] { cv::setNumThreads(threads); });
}
