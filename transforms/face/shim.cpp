#include "shim.h"

#include "guard.h"

#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include <opencv2/objdetect.hpp>

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

char *face_set_threads(int threads) {
    return guard([&] { cv::setNumThreads(threads); });
}
