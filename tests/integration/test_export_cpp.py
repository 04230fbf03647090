"""The loader that TensorFlow Serving uses, called from C++, says what Python says."""

import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from tests.integration.test_export_requests import by_saved_model, files, saved_model

PROGRAM = r"""
#include <fstream>
#include <iostream>
#include <iterator>

#include "tensorflow/cc/saved_model/loader.h"

// MODEL SIGNATURE INPUT OUTPUT FILE...: the output of a signature for encoded images, a number a
// line; or the error, and status 1.
int main(int count, char** words) {
  tensorflow::SavedModelBundle bundle;
  auto status = tensorflow::LoadSavedModel({}, {}, words[1], {"serve"},
                                           &bundle);
  if (status.ok()) {
    const auto& signature = bundle.GetSignatures().at(words[2]);
    tensorflow::Tensor images(tensorflow::DT_STRING, {count - 5});
    for (int file = 5; file < count; ++file) {
      std::ifstream stream(words[file], std::ios::binary);
      images.vec<tensorflow::tstring>()(file - 5) =
          std::string(std::istreambuf_iterator<char>(stream), {});
    }
    std::vector<tensorflow::Tensor> found;
    status = bundle.session->Run({{signature.inputs().at(words[3]).name(), images}},
                                 {signature.outputs().at(words[4]).name()}, {}, &found);
    std::cout.precision(9);
    if (status.ok()) {
      const auto values = found[0].flat<float>();
      for (int place = 0; place < values.size(); ++place) std::cout << values(place) << "\n";
      return 0;
    }
  }
  std::cout << status.ToString() << "\n";
  return 1;
}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Function of (folder of a model, paths of image files) -> finished process of `PROGRAM`."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("There is no C++ compiler.")
    folder = tmp_path_factory.mktemp("program")
    (folder / "main.cc").write_text(PROGRAM)
    library = tf.sysconfig.get_lib()
    command = [compiler, "-std=c++17", "-O0", folder / "main.cc", "-o", folder / "main"]
    command += [*tf.sysconfig.get_compile_flags(), f"-L{library}", f"-Wl,-rpath,{library}"]
    command += ["-Wl,--no-as-needed", "-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        pytest.skip(f"TensorFlow's C++ libraries do not build here: {built.stderr[-300:]}")

    def run(model, paths):
        words = [folder / "main", model, "image_bytes", "image_bytes", "features", *paths]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    return run


@pytest.mark.slow
def test_the_loader_of_the_server_gives_the_same_and_names_what_it_refuses(run, tmp_path):
    model, contents = saved_model(tmp_path / "model" / "1", 3), list(files().values())
    contents.append(b"no image")
    paths = [tmp_path / str(number) for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    found = run(model, paths[:-1])
    assert found.returncode == 0, found.stdout + found.stderr
    expected = by_saved_model(model)("image_bytes", contents[:-1])
    np.testing.assert_array_equal(np.array(found.stdout.split(), "f4"), expected.ravel())
    refused = run(model, [paths[0], paths[-1]])
    assert refused.returncode == 1 and "image 1 of the request: not a JPEG" in refused.stdout
