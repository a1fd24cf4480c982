#include "shim.h"

#include "guard.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

#include <opencv2/objdetect.hpp>
#include <turbojpeg.h>

char *face_load(const char *path, void **classifier) {
    return guard([&] {
        std::unique_ptr<cv::CascadeClassifier> c(new cv::CascadeClassifier());
        if (!c->load(path)) {
            CV_Error(cv::Error::StsParseError, "the file holds no cascade");
        }
        *classifier = c.release();
    });
}

void face_close(void *classifier) {
    delete static_cast<cv::CascadeClassifier *>(classifier);
}

char *face_detect(void *classifier, void *grey, double scale_factor, int min_neighbors, int min_face,
                  face_box **boxes, int *count) {
    return guard([&] {
        std::vector<cv::Rect> found;
        static_cast<cv::CascadeClassifier *>(classifier)
            ->detectMultiScale(*static_cast<cv::Mat *>(grey), found, scale_factor, min_neighbors, 0,
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

char *face_decode_jpeg(const void *data, size_t size, int width, int height, void *grey, char **fault) {
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
        cv::Mat &m = *static_cast<cv::Mat *>(grey);
        m.create(height, width, CV_8UC1);
        if (tjDecompress2(jpeg.get(), bytes, size, m.data, width, static_cast<int>(m.step), height, TJPF_GRAY,
                          TJFLAG_STOPONWARNING) == 0) {
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
