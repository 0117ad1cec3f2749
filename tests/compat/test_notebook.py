"""A notebook's worth of code for segment_anything, cell by cell, after one line more."""

import copy
import textwrap

import numpy as np

from samphire import compat
from samphire.compat.segment_anything.modeling.sam import from_samphire

CELLS = {
    "imports": """
        import numpy as np
        import torch
        from segment_anything import sam_model_registry, SamPredictor
        from segment_anything.utils.transforms import ResizeLongestSide
    """,
    "a model and a picture": """
        sam = sam_model_registry["vit_t"](checkpoint=None)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        sam.to(device=device)
        predictor = SamPredictor(sam)
        predictor.set_image(image)
    """,
    "one point": """
        input_point = np.array([[50, 37]])
        input_label = np.array([1])
        masks, scores, logits = predictor.predict(
            point_coords=input_point,
            point_labels=input_label,
            multimask_output=True,
        )
        assert masks.shape == (3, 75, 100)
        for i, (mask, score) in enumerate(zip(masks, scores)):
            title = f"Mask {i+1}, Score: {score:.3f}"
    """,
    "more points, and the mask of before": """
        input_point = np.array([[50, 37], [80, 60]])
        input_label = np.array([1, 0])
        mask_input = logits[np.argmax(scores), :, :]
        masks, _, _ = predictor.predict(
            point_coords=input_point,
            point_labels=input_label,
            mask_input=mask_input[None, :, :],
            multimask_output=False,
        )
        assert masks.shape == (1, 75, 100)
    """,
    "a box, with a point": """
        input_box = np.array([10, 10, 80, 60])
        masks, _, _ = predictor.predict(
            point_coords=None, point_labels=None, box=input_box[None, :], multimask_output=False)
        masks, _, _ = predictor.predict(
            point_coords=np.array([[30, 30]]), point_labels=np.array([0]),
            box=input_box, multimask_output=False)
        h, w = masks[0].shape[-2:]
        assert (h, w) == (75, 100)
    """,
    "many boxes": """
        input_boxes = torch.tensor([
            [10, 10, 60, 60], [0, 0, 20, 30], [30, 5, 99, 74],
        ], device=predictor.device)
        transformed_boxes = predictor.transform.apply_boxes_torch(input_boxes, image.shape[:2])
        masks, _, _ = predictor.predict_torch(
            point_coords=None,
            point_labels=None,
            boxes=transformed_boxes,
            multimask_output=False,
        )
        assert masks.shape == (3, 1, 75, 100)
        for mask in masks:
            shown = mask.cpu().numpy()
    """,
    "pictures and prompts end to end": """
        resize_transform = ResizeLongestSide(sam.image_encoder.img_size)
        def prepare_image(image, transform, device):
            image = transform.apply_image(image)
            image = torch.as_tensor(image, device=device.device)
            return image.permute(2, 0, 1).contiguous()
        image2 = image[:40, ::2]
        batched_input = [
            {
                'image': prepare_image(image, resize_transform, sam),
                'boxes': resize_transform.apply_boxes_torch(input_boxes, image.shape[:2]),
                'original_size': image.shape[:2]
            },
            {
                'image': prepare_image(image2, resize_transform, sam),
                'boxes': resize_transform.apply_boxes_torch(input_boxes[:2], image2.shape[:2]),
                'original_size': image2.shape[:2]
            }
        ]
        batched_output = sam(batched_input, multimask_output=False)
        assert list(batched_output[0].keys()) == ['masks', 'iou_predictions', 'low_res_logits']
        assert [out['masks'].shape for out in batched_output] == [
            (3, 1, 75, 100), (2, 1, 40, 50)]
    """,
    "parts by hand, as in fine-tuning": """
        optimizer = torch.optim.Adam(sam.mask_decoder.parameters(), lr=1e-5)
        with torch.no_grad():
            input_image = resize_transform.apply_image_torch(
                torch.as_tensor(image).permute(2, 0, 1)[None].float())
            image_embedding = sam.image_encoder(sam.preprocess(input_image))
            box_torch = transformed_boxes[:1][:, None, :]  # (1, 1, 4)
            sparse_embeddings, dense_embeddings = sam.prompt_encoder(
                points=None, boxes=box_torch, masks=None)
        losses = []
        for step in range(3):
            low_res_masks, iou_predictions = sam.mask_decoder(
                image_embeddings=image_embedding,
                image_pe=sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse_embeddings,
                dense_prompt_embeddings=dense_embeddings,
                multimask_output=False,
            )
            upscaled_masks = sam.postprocess_masks(
                low_res_masks, input_image.shape[-2:], image.shape[:2]).to(device)
            loss = torch.nn.functional.mse_loss(upscaled_masks, torch.ones_like(upscaled_masks))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0]
    """,
    "half precision": """
        sam.half()
        predictor.set_image(image, image_format="BGR")
        masks, scores, logits = predictor.predict(input_point, input_label)
        assert scores.dtype == np.float32
    """,
}


def test_a_notebook_runs_after_install(installed, monkeypatch, tiny_sam, photo):
    def small(checkpoint):
        return from_samphire(copy.deepcopy(tiny_sam))

    # under the name of the real one, with which a cell would take seconds
    monkeypatch.setitem(compat.sam_model_registry, "vit_t", small)
    names = {"image": photo}
    for name, cell in CELLS.items():
        exec(compile(textwrap.dedent(cell), name, "exec"), names)  # noqa: S102
    assert isinstance(names["scores"], np.ndarray)
