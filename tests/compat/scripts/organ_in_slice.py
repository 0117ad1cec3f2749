"""A script as users of MedSAM write them: the three parts called by hand, boxes (B, 1, 4)."""

import argparse

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from segment_anything import sam_model_registry

parser = argparse.ArgumentParser()
parser.add_argument("-i", "--data_path", required=True)
parser.add_argument("-o", "--seg_path", required=True)
parser.add_argument("--box", type=str, required=True, help="[x0,y0,x1,y1]")
parser.add_argument("--device", type=str, default="cpu")
parser.add_argument("-chk", "--checkpoint", required=True)
parser.add_argument("--model", default="vit_b")


@torch.no_grad()
def infer(model, img_embed, box_1024, height, width):
    box_torch = torch.as_tensor(box_1024, dtype=torch.float, device=img_embed.device)
    if len(box_torch.shape) == 2:
        box_torch = box_torch[:, None, :]  # (B, 1, 4)
    sparse_embeddings, dense_embeddings = model.prompt_encoder(
        points=None,
        boxes=box_torch,
        masks=None,
    )
    low_res_logits, _ = model.mask_decoder(
        image_embeddings=img_embed,
        image_pe=model.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse_embeddings,
        dense_prompt_embeddings=dense_embeddings,
        multimask_output=False,
    )
    low_res_pred = torch.sigmoid(low_res_logits)
    low_res_pred = F.interpolate(
        low_res_pred, size=(height, width), mode="bilinear", align_corners=False
    )
    return (low_res_pred.squeeze().cpu().numpy() > 0.5).astype(np.uint8)


args = parser.parse_args()
model = sam_model_registry[args.model](checkpoint=args.checkpoint)
model = model.to(args.device)
model.eval()

img_np = cv2.imread(args.data_path, cv2.IMREAD_UNCHANGED)
img_3c = np.repeat(img_np[:, :, None], 3, axis=-1) if len(img_np.shape) == 2 else img_np
H, W, _ = img_3c.shape
img_1024 = cv2.resize(img_3c, (1024, 1024), interpolation=cv2.INTER_CUBIC)
img_1024 = (img_1024 - img_1024.min()) / np.clip(img_1024.max() - img_1024.min(), 1e-8, None)
img_1024_tensor = torch.tensor(img_1024).float().permute(2, 0, 1).unsqueeze(0).to(args.device)

box_np = np.array([[int(x) for x in args.box[1:-1].split(",")]])
box_1024 = box_np / np.array([W, H, W, H]) * 1024
with torch.no_grad():
    image_embedding = model.image_encoder(img_1024_tensor)  # (1, 256, 64, 64)
medsam_seg = infer(model, image_embedding, box_1024, H, W)
cv2.imwrite(args.seg_path, medsam_seg * 255)
