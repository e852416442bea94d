"""GLSL of the head renderer. One fragment program per material: `MATERIAL` is defined before the source."""

MATERIALS = ("body", "cloth", "eyes", "teeth", "tongue", "brow", "lash", "hair", "glasses")
SOFT_EDGED = ("brow", "lash", "hair")  # drawn twice: solid core with depth, then the transparent rim blended

# The head's pose is applied here: each vertex follows the skull by its weight.
_POSE = """
uniform mat3 turn; uniform vec3 pivot; uniform vec3 shift;
vec3 posed(vec3 p, float follow) { return mix(p, turn * (p - pivot) + pivot + shift, follow); }
"""

VERTEX = (
    """#version 330
in vec3 position; in vec3 normal; in vec2 uv; in float openness; in float follow; in vec4 paint;
in vec2 plane;
uniform mat4 view_projection; uniform mat4 light_projection;
out vec3 place; out vec3 facing; out vec2 at; out vec4 in_light; out float open_sky; out float rest_z; out vec4 painted;
out vec3 rest; out vec2 creased;
"""
    + _POSE
    + """
void main() {
  place = posed(position, follow);
  facing = mix(normal, turn * normal, follow);
  at = uv; open_sky = openness; rest_z = position.z; painted = paint; rest = position; creased = plane;
  in_light = light_projection * vec4(place, 1);
  gl_Position = view_projection * vec4(place, 1);
}"""
)

FRAGMENT = """
in vec3 place; in vec3 facing; in vec2 at; in vec4 in_light; in float open_sky; in float rest_z; in vec4 painted;
in vec3 rest; in vec2 creased;
uniform sampler2D wrinkle_map; uniform vec4 wrinkles; uniform vec3 rim_direction; uniform vec3 rim_colour;
uniform float softness;
uniform sampler2D colour; uniform sampler2DShadow shadow_map; uniform sampler2D noise;
uniform vec3 eye; uniform vec3 key_direction; uniform vec3 key_colour; uniform vec3 fill_direction;
uniform vec3 fill_colour; uniform vec3 sky; uniform vec3 ground; uniform vec3 tint;
uniform vec3 lip_tint; uniform float lip_gloss; uniform float freckles; uniform float stubble;
uniform vec3 stubble_colour; uniform float buzz; uniform float blush; uniform vec4 eye_shadow;
uniform float lip_front_z; uniform float mouth_open; uniform float mouth_dark;
uniform float shadow_strength; uniform float shine; uniform float exposure; uniform vec3 neckline;
uniform int rim_pass;
out vec4 pixel;

float lit_share() {  // hardware-filtered; the light is orthographic
  vec3 c = in_light.xyz * .5 + .5;
  c.z -= .006;
#ifdef FINE
  vec2 px = 1.5 / vec2(textureSize(shadow_map, 0));
  float sum = 0.;
  for (int i = -2; i <= 2; i++) for (int j = -2; j <= 2; j++) sum += texture(shadow_map, c + vec3(px * vec2(i, j), 0));
  return sum / 25.;
#else
  return texture(shadow_map, c);
#endif
}

vec3 bumped(vec3 n, float height) {  // Mikkelsen 2010, "Bump mapping unparametrized surfaces on the GPU"
  vec3 sx = dFdx(place), sy = dFdy(place);
  vec3 r1 = cross(sy, n), r2 = cross(n, sx);
  float det = dot(sx, r1);
  vec3 gradient = sign(det) * (dFdx(height) * r1 + dFdy(height) * r2);
  return normalize(abs(det) * n - gradient);
}

void main() {
  vec4 texel = texture(colour, at);
  vec3 n = normalize(facing);
  vec3 v = normalize(eye - place);
#if MATERIAL != 0
  if (dot(n, v) < 0.) n = -n;
#endif
  float alpha = 1.;
#if MATERIAL >= 5 && MATERIAL <= 7
  alpha = texel.a;
  #if MATERIAL == 5
    alpha *= .8;
  #elif MATERIAL == 6
    alpha *= .45;
  #else
    alpha = clamp(alpha * 1.4, 0., 1.);
  #endif
  #if MATERIAL == 7
  if (rim_pass == 0) alpha = 1.;  // its depth is there already
  else if (alpha >= .5 || alpha < .08) discard;
  #else
  if (rim_pass == 0) { if (alpha < .5) discard; alpha = 1.; } else { if (alpha >= .5 || alpha < .08) discard; }
  #endif
#endif
  vec3 albedo = texel.rgb * texel.rgb;  // gamma 2
  vec3 wrap = vec3(.1);
  float gloss = 18., specular = .045, inside = 0.;
#if MATERIAL == 0
  float lips = texel.a;
  vec4 grain = texture(noise, at * 4.);
  albedo *= tint * (1. + .10 * (grain.r - .5) + .06 * (grain.a - .5));
  albedo = mix(albedo, albedo * vec3(.62, .44, .34), min(1., freckles * grain.g) * (1. - lips));
  albedo = mix(albedo, albedo * vec3(1.02, .72, .70), blush * painted.g);
  albedo = mix(albedo, albedo * eye_shadow.rgb, eye_shadow.a * painted.b);
  float hairs = stubble * painted.r * (1. - lips);
  float dots = stubble + buzz > 0. ? texture(noise, at * 11.).b : 0.;
  albedo = mix(albedo, stubble_colour, clamp(hairs * (.3 + .9 * dots), 0., .88));
  albedo = mix(albedo, stubble_colour, clamp(buzz * painted.a * (.45 + .8 * dots), 0., .9));
  albedo = mix(albedo, albedo * lip_tint, lips);
  specular = mix(.05, .09 * lip_gloss, lips);
  gloss = mix(16., 42., lips);
  wrap = vec3(.36, .22, .17);
  if (at.x > .755 && at.y < .145) {  // hm08's uv island of the mouth's inside
    albedo = vec3(.22, .05, .05);
    inside = 1.;
  }
  float groove = dot(texture(wrinkle_map, creased), wrinkles) * (1. - lips);
  albedo *= 1. - .22 * min(groove, 1.);
  n = bumped(n, -.010 * groove);
#ifdef FINE
  n = bumped(n, (dot(texel.rgb, vec3(.33)) * .008 + grain.r * .0025 - hairs * dots * .002) * (1. - inside));
#endif
#elif MATERIAL == 1
  float collar = neckline.x + neckline.z * max(0., 1. - abs(rest.x) / .9) * step(0., rest.z);
  if (rest.y > neckline.y - collar + .25 * rest.x * rest.x) discard;
  albedo = tint * (.85 + .3 * texture(noise, rest.xy * 2.5).r);
  specular = .01;
#elif MATERIAL == 2
  albedo *= tint;
  specular = .5; gloss = 180.;
#elif MATERIAL == 3
  albedo = texel.rgb * texel.rgb * tint * 1.3 * painted.r * mix(vec3(1), vec3(1, .9, .62), painted.g);
  specular = .25; gloss = 60.; inside = 1.;
#elif MATERIAL == 4
  albedo *= tint;
  specular = .12; gloss = 30.; inside = 1.;
#elif MATERIAL == 7
  albedo = tint * texel.r * 2.;
  specular = .05 + .10 * texel.r; gloss = 14.;
  wrap = vec3(.4);
#elif MATERIAL == 8
  albedo = tint;
  specular = .3; gloss = 60.;
#else
  albedo = tint * (.6 + .4 * albedo);
  specular = 0.;
#endif
  wrap += .3 * softness;
  float sky_share = open_sky;
  float lit = mix(1., lit_share(), shadow_strength);
  if (inside > .5) {  // darker the deeper behind the front teeth, and the less the mouth is open
#if MATERIAL == 3
    float reach = .36, floor_light = .10, shut_light = .75, least_lit = .75;
#else
    float reach = .34, floor_light = MATERIAL == 4 ? .05 : .015, shut_light = .4, least_lit = .4;
#endif
    float deep = smoothstep(-.02, reach, (lip_front_z - rest_z) * mouth_dark);
    sky_share = mix(1., floor_light, deep) * mix(shut_light, 1., clamp(mouth_open, 0., 1.));
    lit = max(lit, least_lit) * (1. - .75 * deep);
  }
  float n_key = dot(n, key_direction);
  vec3 key = clamp((n_key + wrap) / (1. + wrap), 0., 1.);
  key *= key * .3 + .7;
  vec3 fill = clamp((dot(n, fill_direction) + wrap) / (1. + wrap), 0., 1.);
  vec3 ambient = mix(ground, sky, n.y * .5 + .5);
  vec3 soft_lit = vec3(lit);
#if MATERIAL == 0
  soft_lit.r = min(1., lit + .08);  // light bleeds red through skin at a shadow's edge
#endif
  vec3 light = albedo * (key_colour * key * soft_lit * mix(1., sky_share, inside > .5 ? 1. : .35)
                         + fill_colour * fill * sky_share + ambient * sky_share);
  float grazing = 1. - max(dot(n, v), 0.);
  grazing *= grazing;
  float fresnel = .35 + .65 * grazing * grazing;
  light += rim_colour * (albedo + .04) * grazing * max(dot(n, rim_direction), 0.) * sky_share;
  float h_key = max(dot(n, normalize(key_direction + v)), 0.);
  float h_fill = max(dot(n, normalize(fill_direction + v)), 0.);
  light += 2.2 * shine * specular * fresnel * sky_share
           * (key_colour * pow(h_key, gloss) * lit * step(0., n_key) + .5 * fill_colour * pow(h_fill, gloss));
#if MATERIAL == 0
  light += shine * .05 * fresnel * key_colour * h_key * h_key * h_key * h_key * lit * sky_share;  // broad sheen
#endif
#if MATERIAL == 2
  light += key_colour * .8 * pow(h_key, 350.);  // catch light
  light *= mix(.55, 1., sky_share);
#endif
  light *= exposure;
  light = light * (1. + .12 * light) / (1. + .75 * light);  // shoulder of the tone curve
  pixel = vec4(sqrt(max(light, 0.)), alpha);
}"""

# Depth only, for shadow maps and for the depth of hair before it is shaded (so each pixel is shaded once).
DEPTH_VERTEX = (
    """#version 330
in vec3 position; in vec2 uv; in float follow;
uniform mat4 view_projection;
out vec2 at; out vec3 place;
"""
    + _POSE
    + """
void main() {
  place = posed(position, follow);
  at = uv;
  gl_Position = view_projection * vec4(place, 1);
}"""
)

SOLID_FRAGMENT = """#version 330
void main() {}"""

HOLED_FRAGMENT = """#version 330
in vec2 at; uniform sampler2D colour; uniform float least_alpha;
void main() { if (texture(colour, at).a < least_alpha) discard; }"""

BACKGROUND_VERTEX = """#version 330
in vec2 corner; out vec2 at;
void main() { at = corner * .5 + .5; gl_Position = vec4(corner, .9999, 1); }"""

BACKGROUND_FRAGMENT = """#version 330
in vec2 at; uniform sampler2D colour; out vec4 pixel;
void main() { pixel = vec4(texture(colour, vec2(at.x, 1. - at.y)).rgb, 1); }"""
