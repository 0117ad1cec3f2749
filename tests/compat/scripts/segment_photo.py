# ruff: noqa: T201
"""A script as users of segment_anything write them: points, refinement, boxes, a picture."""

import argparse
import os

import cv2
import numpy as np
import torch
from drawing import draw_mask
from segment_anything import SamPredictor, sam_model_registry

parser = argparse.ArgumentParser(description="Segment one photo.")
parser.add_argument("--input", type=str, required=True)
parser.add_argument("--output", type=str, required=True)
parser.add_argument("--checkpoint", type=str, required=True)
parser.add_argument("--model-type", type=str, default="vit_h")
parser.add_argument("--point", type=float, nargs=2, required=True)
parser.add_argument("--box", type=float, nargs=4, action="append", default=[])


def main(args):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sam = sam_model_registry[args.model_type](checkpoint=args.checkpoint)
    sam.to(device=device)
    predictor = SamPredictor(sam)

    image = cv2.imread(args.input)
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    predictor.set_image(image)

    input_point = np.array([args.point])
    input_label = np.array([1])
    masks, scores, logits = predictor.predict(
        point_coords=input_point,
        point_labels=input_label,
        multimask_output=True,
    )
    print(f"{len(masks)} masks, scores {scores.round(3)}")

    refined, _, _ = predictor.predict(
        point_coords=input_point,
        point_labels=input_label,
        mask_input=logits[np.argmax(scores), :, :][None, :, :],
        multimask_output=False,
    )

    input_boxes = torch.tensor(args.box, device=predictor.device)
    transformed_boxes = predictor.transform.apply_boxes_torch(input_boxes, image.shape[:2])
    box_masks, box_scores, _ = predictor.predict_torch(
        point_coords=None,
        point_labels=None,
        boxes=transformed_boxes,
        multimask_output=False,
    )
    print(f"{tuple(box_masks.shape)} masks of boxes")

    os.makedirs(args.output, exist_ok=True)
    for mask in box_masks:
        draw_mask(image, mask[0].cpu().numpy())
    cv2.imwrite(os.path.join(args.output, "boxes.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    np.savez_compressed(
        os.path.join(args.output, "masks.npz"),
        masks=masks,
        scores=scores,
        refined=refined,
        box_masks=box_masks.cpu().numpy(),
        box_scores=box_scores.cpu().numpy(),
    )


if __name__ == "__main__":
    main(parser.parse_args())
