from equipoise.report.demo import build_demo


def test_the_page_holds_what_the_run_holds(small):
    page = build_demo(small)
    assert page["num_items"] == len(page["items"]) == 80
    assert [row["name"] for row in page["quantiles"]] == ["calibration", "novel", "grey", "copy"]
    assert page["best"].name == "Denoising residual"
    assert len(page["roc_rows"]) == 60
    assert page["warning"] == ""
    assert ("detector.sigma", "0.13") in page["spec_rows"]
